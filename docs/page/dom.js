// How elements are made. Text stays text: nothing here takes markup from a string.

// el returns an element. Functions among the attributes listen to events; what is false,
// null or undefined is left out.
export function el(tag, attributes, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (name === 'value') element.value = value
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value != null) element.setAttribute(name, value)
  }
  element.append(...children.flat(Infinity).filter((child) => child !== false && child != null))
  return element
}

// prose returns the elements of a text in Markdown, of which the document uses paragraphs,
// lists, **strong**, *emphasis* and `code`.
export function prose(text) {
  const blocks = (text ?? '').trim().split(/\n\s*\n/).filter(Boolean)
  return blocks.map((block) => {
    if (!/^[-*] /.test(block)) return el('p', {}, inline(block))
    const items = block.split(/\n(?=[-*] )/).map((item) => el('li', {}, inline(item.slice(2))))
    return el('ul', {}, items)
  })
}

// inline returns the parts of a paragraph.
export function inline(text) {
  const parts = (text ?? '').trim().split(/(\*\*[^*]+\*\*|\*[^*\s][^*]*\*|`[^`]+`)/)
  return parts.map((part) => {
    if (/^\*\*.+\*\*$/s.test(part)) return el('strong', {}, inline(part.slice(2, -2)))
    if (/^\*.+\*$/s.test(part)) return el('em', {}, part.slice(1, -1))
    if (/^`.+`$/s.test(part)) return el('code', {}, part.slice(1, -1))
    return part
  })
}

// code returns a block that can be scrolled by keyboard, and copied.
export function code(text, label) {
  const block = el('pre', { tabindex: '0', role: 'region', 'aria-label': label }, el('code', {}, text))
  return el('div', { class: 'code' }, copyButton(label, () => block.textContent), block)
}

function copyButton(label, read) {
  const button = el('button', { type: 'button', class: 'small', 'aria-label': `Copy: ${label}` }, 'Copy')
  button.addEventListener('click', async () => {
    const done = await navigator.clipboard?.writeText(read()).then(() => true, () => false)
    say(done ? 'Copied.' : 'This browser copies only on HTTPS and on its own machine.')
    button.textContent = done ? 'Copied' : 'Not copied'
    setTimeout(() => { button.textContent = 'Copy' }, 2000)
  })
  return button
}

// say tells users of screen readers what has changed.
export function say(text) {
  document.getElementById('said').textContent = text
}

// field is a label with its control and its hint.
export function field({ id, label, hint, required, control }) {
  if (hint) control.setAttribute('aria-describedby', `${id}-hint`)
  control.id = id
  return el('div', { class: 'field' },
    el('label', { for: id }, label, !required && el('span', { class: 'quiet' }, ' (optional)')),
    hint && el('p', { id: `${id}-hint`, class: 'hint' }, inline(hint)),
    control)
}
