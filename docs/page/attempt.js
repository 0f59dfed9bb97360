// The form that sends a request, the same request as code, and its answer.
import { credential, labelOf, offerToken, onCredentials } from './credentials.js'
import { code, el, field, prose, say } from './dom.js'
import { languages } from './samples.js'

// The language that was chosen last, for all operations.
let language = 'curl'

export function attempt(description, operation) {
  const form = el('form', { novalidate: true, 'aria-label': 'Try it' })
  const sample = el('div', { class: 'sample' })
  const answer = el('div', { class: 'answer' })
  const token = el('div', { class: 'token' })
  const update = () => {
    token.replaceChildren(...tokenText(wayOf(form, operation)))
    sample.replaceChildren(code(languages[language](requestOf(form, operation)), `${language} example`))
  }
  form.append(el('h2', {}, 'Try it'), choice(operation), token,
    ...operation.parameters.map((parameter) => parameterField(description, parameter)),
    ...bodyField(operation.body, update),
    el('div', { class: 'buttons' }, el('button', { type: 'submit', class: 'main' }, 'Send')))
  form.addEventListener('input', update)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (isComplete(form)) send(requestOf(form, operation), answer)
  })
  onCredentials(() => form.isConnected && (update(), true))
  update()
  return el('div', { class: 'attempt' }, form, answer,
    el('section', { 'aria-label': 'As code' }, el('h2', {}, 'As code'), languageChoice(update), sample))
}

// choice lets the user say where the request goes, unless there is one place.
function choice({ ways, id }) {
  if (ways.length < 2) return ''
  const preferred = credential('tenantToken') || credential('tenant') ? 'tenant' : 'core'
  const chosen = ways.find(({ name }) => name === preferred) ?? ways[0]
  return radios(`way-${id}`, 'Where', ways.map((way) => [way.name, way.label]), chosen.name)
}

function languageChoice(update) {
  const group = radios('language', 'Language', Object.keys(languages).map((name) => [name, name]), language)
  group.addEventListener('input', (event) => {
    language = event.target.value
    update()
  })
  return group
}

function radios(name, legend, values, chosen) {
  return el('fieldset', { class: 'choice' }, el('legend', { class: 'hidden' }, legend), values.map(([value, label]) =>
    el('label', {}, el('input', { type: 'radio', name, value, checked: value === chosen }), el('span', {}, label))))
}

function wayOf(form, { ways, id }) {
  const chosen = form.elements[`way-${id}`]?.value
  return ways.find(({ name }) => name === chosen) ?? ways[0]
}

// tokenText says with what the request is sent.
function tokenText({ token, name, sendsTenant }) {
  const tenant = sendsTenant && credential('tenant')
  const header = tenant && ['X-TENANT: ', el('code', {}, tenant)]
  if (!token && name === 'tenant' && !tenant) return [el('p', { class: 'hint' }, 'Enter X-TENANT under “Authorize”.')]
  if (!token) return [el('p', { class: 'hint' }, header ? ['Sent with ', header, '.'] : 'No token is needed.')]
  if (!credential(token)) return [el('p', { class: 'hint' }, `Needs the ${labelOf(token).toLowerCase()}: enter it under “Authorize”.`)]
  return [el('p', { class: 'hint' }, `Sent with the ${labelOf(token).toLowerCase()}`, header && [' and ', header], '.')]
}

function parameterField(description, { name, in: place, required, description: hint, schema }) {
  const found = description.resolve(schema)
  const shared = { name, 'data-in': place, required, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }
  const control = found.enum
    ? el('select', shared, el('option', { value: '' }, 'any'), found.enum.map((value) => el('option', { value }, value)))
    : el('input', { type: 'text', ...shared, placeholder: found.examples?.[0] ?? found.default })
  return field({ id: `parameter-${name}`, label: name, hint: hint ?? found.description, required, control })
}

// bodyField is the body as text, filled with an example.
function bodyField(body, update) {
  if (!body) return []
  const pretty = (value) => JSON.stringify(value, null, 2)
  const text = el('textarea', { name: 'request body', spellcheck: 'false', rows: '8' })
  const fill = (value) => {
    text.value = pretty(value)
    text.rows = Math.min(text.value.split('\n').length + 1, 16)
  }
  fill(body.examples[0]?.value ?? {})
  const area = field({ id: 'body', label: 'Body', required: body.required, control: text })
  if (body.examples.length < 2) return [area]
  const select = el('select', {
    change: () => { fill(body.examples[select.selectedIndex].value); update() },
  }, body.examples.map(({ name, summary }) => el('option', {}, summary ?? name)))
  return [field({ id: 'example', label: 'Example', required: true, control: select }), area]
}

// isComplete takes the focus to the first field that must be filled in.
function isComplete(form) {
  const inputs = [...form.querySelectorAll('[data-in]')]
  for (const input of inputs) input.toggleAttribute('aria-invalid', false)
  const missing = inputs.find((input) => input.required && input.value === '')
  missing?.setAttribute('aria-invalid', 'true')
  missing?.focus()
  if (missing) say(`Please fill in ${missing.name}.`)
  return !missing
}

function requestOf(form, operation) {
  const way = wayOf(form, operation)
  const given = (place) => [...form.querySelectorAll(`[data-in=${place}]`)].filter(({ value }) => value !== '')
  const path = given('path').reduce((at, { name, value }) => at.replace(`{${name}}`, encodeURIComponent(value)), operation.path)
  const query = new URLSearchParams(given('query').map(({ name, value }) => [name, value])).toString()
  const headers = given('header').map(({ name, value }) => [name, value])
  if (operation.body) headers.push(['Content-Type', operation.body.type])
  if (way.sendsTenant && credential('tenant')) headers.push(['X-TENANT', credential('tenant')])
  return {
    method: operation.method.toUpperCase(), address: location.origin + path + (query && `?${query}`), headers,
    token: way.token, body: operation.body && form.elements['request body'].value, file: operation.file,
  }
}

// send shows the answer of the server, whatever it is.
async function send({ method, address, headers, token, body }, shown) {
  shown.replaceChildren(el('p', { class: 'quiet' }, 'Waiting for the answer…'))
  const all = new Headers()
  try {
    for (const [name, value] of headers) all.set(name, value)
    if (credential(token)) all.set('Authorization', `Bearer ${credential(token)}`)
    const began = performance.now()
    const response = await fetch(address, { method, headers: all, body, cache: 'no-store', credentials: 'omit', redirect: 'manual' })
    const content = await response.blob()
    const took = Math.round(performance.now() - began)
    shown.replaceChildren(...await answerParts(response, content, took))
    say(`Answer ${response.status}`)
  } catch (error) {
    shown.replaceChildren(el('h2', {}, 'Answer'), ...prose(`The request failed: ${error.message}`))
    say('The request failed.')
  }
}

async function answerParts(response, content, took) {
  const kind = response.headers.get('Content-Type') ?? ''
  const isText = /json|^text\//.test(kind)
  const text = isText ? await content.text() : ''
  const value = /json/.test(kind) ? read(text) : undefined
  const status = el('span', { class: response.ok ? 'status good' : 'status bad' }, String(response.status))
  return [
    el('h2', {}, 'Answer ', status, ' ', el('span', { class: 'quiet' }, `${took} ms`)),
    offerToken(value) ?? '',
    isText ? code(value === undefined ? text : JSON.stringify(value, null, 2), 'Body of the answer') : fileOf(content),
    el('details', {}, el('summary', {}, 'Headers'),
      code([...response.headers].map(([name, header]) => `${name}: ${header}`).join('\n'), 'Headers of the answer')),
  ]
}

function read(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function fileOf(content) {
  if (content.size === 0) return el('p', { class: 'quiet' }, 'It has no body.')
  return el('p', {}, el('a', { href: URL.createObjectURL(content), download: 'answer' }, `Save ${content.size} bytes`))
}
