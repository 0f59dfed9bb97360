// The frame: the menu, the search, and which page is at which address.
import { credentialsPanel } from './credentials.js'
import { Description } from './description.js'
import { el, prose, say } from './dom.js'
import { badge, operationPage, sharedAnswersPage } from './operation.js'

const wide = matchMedia('(min-width: 60rem)')
const main = document.querySelector('main')

// overview introduces the API and lists its operations by their tags.
function overview({ source: { info }, tags }) {
  return [
    el('h1', { tabindex: '-1' }, info.title, ' ', el('span', { class: 'quiet' }, info.version)),
    el('p', { class: 'lead' }, info.summary),
    el('div', { class: 'text' }, prose(info.description), el('p', {}, el('a', { href: '#/shared-answers' }, 'Answers that many requests share'))),
    tags.map((tag) => el('section', {}, el('h2', {}, el('a', { href: `#/${encodeURIComponent(tag.name)}` }, tag.name)), tagText(tag))),
  ]
}

function tagPage(tag) {
  return [el('h1', { tabindex: '-1' }, tag.name), tagText(tag)]
}

function tagText({ description, operations }) {
  return [
    el('div', { class: 'text' }, prose(description)),
    el('ul', { class: 'operations' }, operations.map(({ address, method, path, summary }) =>
      el('li', {}, el('a', { href: address }, badge(method), el('code', {}, path), el('span', {}, summary))))),
  ]
}

function pageAt(description, address) {
  if (address === '#/shared-answers') return sharedAnswersPage(description)
  const operation = description.operations.find((one) => one.address === address)
  if (operation) return operationPage(description, operation)
  const tag = description.tags.find(({ name }) => `#/${encodeURIComponent(name)}` === address)
  return tag ? tagPage(tag) : overview(description)
}

// show shows the page at the address. After the first one the focus goes to its heading.
function show(description, isFirst) {
  main.replaceChildren(...pageAt(description, location.hash).flat(Infinity))
  const heading = main.querySelector('h1')
  document.title = heading.textContent === description.source.info.title ? heading.textContent : `${heading.textContent} – ${description.source.info.title}`
  markCurrent()
  if (isFirst) return
  if (!wide.matches) document.querySelector('.fold').open = false
  scrollTo(0, 0)
  heading.focus({ preventScroll: true })
}

function markCurrent() {
  for (const link of document.querySelectorAll('.fold a')) {
    const isHere = link.getAttribute('href') === location.hash
    link.toggleAttribute('aria-current', false)
    if (!isHere) continue
    link.setAttribute('aria-current', 'page')
    link.closest('.tag-group').open = true
    if (wide.matches) link.scrollIntoView({ block: 'nearest' })
  }
}

// menu returns the search and the operations by their tags.
function menu(description) {
  const groups = el('div', {})
  const fold = el('details', { class: 'fold', open: wide.matches }, el('summary', {}, 'Operations'), groups)
  const count = el('p', { class: 'hint', role: 'status' })
  const input = el('input', { id: 'search', type: 'search', autocomplete: 'off', spellcheck: 'false' })
  const fill = () => {
    const found = description.search(input.value)
    groups.replaceChildren(...description.tags.map((tag) => group(tag, found, input.value !== '')).filter(Boolean))
    count.textContent = input.value === '' ? '' : `${found.length} of ${description.operations.length} operations`
    if (input.value !== '') fold.open = true
    markCurrent()
    return found
  }
  input.addEventListener('input', fill)
  const search = el('form', {
    role: 'search', submit: (event) => {
      event.preventDefault()
      const [first] = fill()
      if (first) location.hash = first.address
    },
  }, el('label', { for: 'search' }, 'Search ', el('kbd', { 'aria-hidden': 'true' }, 'Ctrl K')), input, count)
  wide.addEventListener('change', () => { fold.open = wide.matches })
  document.querySelector('#menu').append(search, fold)
  fill()
}

// group returns a tag with those of its operations that were found.
function group({ name, operations }, found, isOpen) {
  const shown = operations.filter((operation) => found.includes(operation))
  if (shown.length === 0) return null
  return el('details', { class: 'tag-group', open: isOpen }, el('summary', {}, name, ' ', el('span', { class: 'quiet' }, String(shown.length))),
    el('ul', {}, shown.map(({ address, method, summary }) => el('li', {}, el('a', { href: address }, badge(method), el('span', {}, summary))))))
}

async function start() {
  const response = await fetch('/openapi.json')
  if (!response.ok) throw new Error(`/openapi.json is ${response.status}`)
  const description = new Description(await response.json())
  document.querySelector('#authorize').append(credentialsPanel())
  menu(description)
  show(description, true)
  addEventListener('hashchange', () => show(description, false))
  addEventListener('keydown', (event) => {
    if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    document.querySelector('#search').focus()
  })
}

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault() // the fragment is the address of the page
  main.focus()
})
start().catch((error) => {
  main.append(...prose(`The description of the API could not be read: ${error.message}`))
  say('The description of the API could not be read.')
})
