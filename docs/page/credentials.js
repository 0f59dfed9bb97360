// The tokens and the tenant, entered once for all requests. They are in this module's memory
// alone: the page stores nothing, and a reload forgets them.
import { el, field, say } from './dom.js'

const kinds = {
  coreToken: { label: 'Core token', variable: 'CORE_TOKEN', hint: 'The `access_token` of a login without `X-TENANT`.' },
  tenantToken: { label: 'Tenant token', variable: 'TENANT_TOKEN', hint: 'The `access_token` of a login with `X-TENANT`, or of an organization’s token.' },
  exportKey: { label: 'Export key', variable: 'EXPORT_KEY', hint: 'The `key` of an export, to download it.' },
  tenant: { label: 'X-TENANT', hint: 'The slug of the tenant. It is sent with what you do inside the tenant.' },
}
const values = new Map()
const listeners = new Set()

export function credential(kind) {
  return values.get(kind) ?? ''
}

export function labelOf(kind) {
  return kinds[kind].label
}

// variableOf names the variable that has the token in the examples, which never show it.
export function variableOf(kind) {
  return kinds[kind].variable
}

// onCredentials calls the listener after each change, until it returns false.
export function onCredentials(listener) {
  listeners.add(listener)
}

export function setCredential(kind, value) {
  values.set(kind, value.trim())
  const input = document.getElementById(`credential-${kind}`)
  if (input && input.value.trim() !== values.get(kind)) input.value = value
  for (const listener of listeners) {
    if (listener() === false) listeners.delete(listener)
  }
}

// credentialsPanel returns the part of the page in which they are entered.
export function credentialsPanel() {
  const state = el('span', { class: 'state' })
  const show = () => {
    const filled = Object.keys(kinds).filter(credential)
    state.replaceChildren(filled.length === 0 ? 'no token yet' : filled.map((kind) => kind === 'tenant' ? credential(kind) : labelOf(kind)).join(', '))
  }
  onCredentials(show)
  show()
  const inputs = Object.entries(kinds).map(([kind, { label, hint }]) => field({
    id: `credential-${kind}`, label, hint,
    control: el('input', { type: 'text', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', input: (event) => setCredential(kind, event.target.value) }),
  }))
  return el('details', { class: 'credentials' }, el('summary', {}, el('strong', {}, 'Authorize'), ' ', state),
    el('div', { class: 'inputs' }, inputs),
    el('p', { class: 'hint' }, 'They stay in the memory of this page. A reload forgets them.'))
}

// offerToken returns a button that keeps the token of an answer, if it has one.
export function offerToken(answer) {
  const kind = answer?.access_token ? kindOf(answer.access_token) : answer?.key && answer?.link && 'exportKey'
  if (!kind) return null
  return el('button', {
    type: 'button', class: 'main',
    click: ({ target }) => {
      setCredential(kind, answer.access_token ?? answer.key)
      target.textContent = `Kept as ${labelOf(kind).toLowerCase()}`
      say(target.textContent)
    },
  }, `Use as ${labelOf(kind).toLowerCase()}`)
}

// kindOf reads the claim of a token that says where it was made.
function kindOf(token) {
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))
    return claims.context === 'tenant' ? 'tenantToken' : 'coreToken'
  } catch {
    return null
  }
}
