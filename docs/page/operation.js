// The page of one operation: what it does, how it is tried, and what it answers.
import { attempt } from './attempt.js'
import { code, el, inline, prose } from './dom.js'
import { fields } from './schema.js'

export function operationPage(description, operation) {
  const { method, path, tag, summary, body } = operation
  return [
    el('p', { class: 'quiet' }, el('a', { href: `#/${encodeURIComponent(tag)}` }, tag)),
    el('h1', { tabindex: '-1' }, summary),
    el('p', { class: 'line' }, badge(method), el('code', {}, path)),
    el('div', { class: 'columns' },
      el('div', { class: 'text' }, prose(operation.description), el('p', { class: 'needs' }, needs(operation))),
      attempt(description, operation),
      el('div', { class: 'reference' },
        body && el('section', { 'aria-labelledby': 'body-fields' }, el('h2', { id: 'body-fields' }, 'Fields of the body'), fields(description, body.schema)),
        answers(description, operation))),
  ]
}

export function badge(method) {
  return el('span', { class: `method ${method}` }, method.toUpperCase())
}

function needs({ ways }) {
  const tokens = ways.map(({ token }) => token)
  if (tokens.every((token) => !token)) return 'Needs no token.'
  const names = { coreToken: 'a core token', tenantToken: 'a tenant token', exportKey: 'the key of the export' }
  return `Needs ${tokens.map((token) => names[token]).join(' or ')}.`
}

// answers lists those of the operation; those that many operations share are only named.
function answers(description, { responses }) {
  const isShared = ({ $ref }) => description.shared.has($ref)
  const sorted = Object.entries(responses).sort(([a], [b]) => a.localeCompare(b))
  const others = sorted.filter(([, response]) => isShared(response)).map(([status]) => status)
  return el('section', { 'aria-labelledby': 'answers' }, el('h2', { id: 'answers' }, 'Answers'),
    sorted.filter(([, response]) => !isShared(response)).map(([status, response]) => oneAnswer(description, status, description.resolve(response))),
    others.length > 0 && el('p', { class: 'quiet' }, 'Like many others it may also answer ', others.join(', '), '. ', el('a', { href: '#/shared-answers' }, 'These are described once.')))
}

function oneAnswer(description, status, { description: text, content, headers = {} }) {
  const [media] = Object.values(content ?? {})
  const isProblem = Object.keys(content ?? {}).includes('application/problem+json')
  return el('details', { class: 'one-answer' },
    el('summary', {}, el('span', { class: status < '400' ? 'status good' : 'status bad' }, status), ' ', inline(text)),
    media?.schema && !isProblem && fields(description, media.schema),
    examplesOf(description, media),
    headerNames(headers))
}

function headerNames(headers) {
  const names = Object.keys(headers).filter((name) => name !== 'X-Request-ID')
  return names.length > 0 && el('p', { class: 'quiet' }, 'Headers: ', names.join(', '))
}

function examplesOf(description, media) {
  return description.examples(media ?? {}).map(({ name, summary, value }) => [
    el('p', { class: 'example-name' }, summary ?? name),
    code(typeof value === 'string' ? value : JSON.stringify(value, null, 2), `Example: ${summary ?? name}`),
  ])
}

// sharedAnswersPage describes the answers that many operations share.
export function sharedAnswersPage(description) {
  const sorted = [...description.shared.values()].sort((a, b) => a.status.localeCompare(b.status))
  return [
    el('h1', { tabindex: '-1' }, 'Answers that many requests share'),
    el('div', { class: 'reference' }, sorted.map((answer) => oneAnswer(description, answer.status, answer))),
  ]
}
