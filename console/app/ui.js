// The parts of all pages.
import { createContext, h } from '../lib/preact/index.js'
import { useCallback, useContext, useEffect, useRef, useState } from '../lib/hooks/index.js'
import htm from '../lib/htm/index.mjs'

export const html = htm.bind(h)

// The last message of success: the shell shows it, and screen readers say it.
const said = { text: '', listeners: new Set() }

export function say(text) {
  said.text = text
  for (const listener of said.listeners) listener(text)
}

export function Said() {
  const [text, set] = useState(said.text)
  useEffect(() => {
    said.listeners.add(set)
    return () => said.listeners.delete(set)
  }, [])
  return html`<div class="said" role="status">
    ${text && html`<p>${text} <button type="button" class="plain" aria-label="Dismiss" onClick=${() => say('')}>×</button></p>`}
  </div>`
}

// Page is a page with its heading, which takes the focus when the page is opened.
export function Page({ title, lead, actions, children }) {
  const heading = useRef(null)
  useEffect(() => heading.current.focus(), [])
  useEffect(() => {
    document.title = `${title} – Console`
  }, [title])
  return html`
    <header class="page-head">
      <div><h1 tabindex="-1" ref=${heading}>${title}</h1>${lead && html`<p class="lead">${lead}</p>`}</div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}`
}

// keepFocus takes the focus to the content where the element that had it is gone.
function keepFocus() {
  setTimeout(() => document.activeElement === document.body && document.querySelector('main')?.focus())
}

// Advice beyond the words of the server, by the code of the problem.
const advice = {
  tenant_suspended: 'Nothing works inside until it is resumed. Its owner can do that, or the operator of the server.',
  role_required: 'Ask an owner or admin of the organization to do it, or to change your role.',
  invalid_invitation: 'It may have been used, withdrawn or replaced, or be for another e-mail address or organization. Ask for a new one.',
  invitation_required: 'Ask an owner or admin of the organization to invite you.',
  invalid_reset_token: 'It may have been used, replaced or expired. Ask for a new one.',
  owner_email_taken: 'A user inside the organization has your e-mail address. An owner or admin inside must remove that user first.',
  last_owner: 'Make another user an owner first.',
  core_password: 'This user owns the organization and has a password at the core. The operator of the server can reset it.',
  operation_running: 'Wait until it has ended, then try again.',
}

// Failure shows a problem in the words of the server.
export function Failure({ problem, retry }) {
  if (!problem) return null
  const help = advice[problem.code]
  return html`<div class="failure" role="alert">
    <p><strong>${problem.detail}</strong></p>
    ${help && html`<p>${help}</p>`}
    ${problem.retryAfter > 1 && html`<p>Try again in ${seconds(problem.retryAfter)}.</p>`}
    ${problem.unshown?.map((error) => html`<p>${error.field}: ${error.message}</p>`)}
    ${problem.status >= 500 && problem.requestID && html`<p class="fine">Request ${problem.requestID}</p>`}
    ${retry && html`<p><button type="button" onClick=${retry}>Try again</button></p>`}
  </div>`
}

function seconds(n) {
  return n < 120 ? `${n} seconds` : `${Math.ceil(n / 60)} minutes`
}

export function Waiting({ children = 'Loading…' }) {
  return html`<p class="waiting" role="status"><progress aria-label=${children}></progress> ${children}</p>`
}

// useLoad asks for data when the page is opened, and again by reload.
export function useLoad(ask, inputs) {
  const [state, set] = useState({ loading: true })
  const load = useCallback(async () => {
    set((before) => ({ ...before, loading: true, problem: null }))
    try {
      set({ data: await ask(), loading: false })
    } catch (problem) {
      set({ problem, loading: false })
    }
  }, inputs)
  useEffect(() => void load(), [load])
  return { ...state, reload: load }
}

// Loaded shows the wait, the failure, or the children's function of the data.
export function Loaded({ from, children }) {
  if (from.problem) return html`<${Failure} problem=${from.problem} retry=${from.reload} />`
  if (from.data === undefined) return html`<${Waiting} />`
  return children(from.data)
}

const Errors = createContext({})

// The field that a problem is about where the server names none.
const fieldOf = {
  email_taken: 'email', wrong_password: 'current_password', invalid_slug: 'slug', reserved_slug: 'slug', slug_taken: 'slug',
  slug_resting: 'slug', invalid_tenant: 'tenant', invalid_reset_token: 'token',
}

// sorted says which errors of a problem belong to which field of a form.
function sorted(problem, form) {
  const errors = problem.errors.length > 0 ? problem.errors
    : fieldOf[problem.code] ? [{ field: fieldOf[problem.code], message: [problem.detail, advice[problem.code]].filter(Boolean).join('. ') }] : []
  const here = errors.filter(({ field }) => form.elements[field])
  problem.unshown = problem.errors.filter((error) => !here.includes(error))
  problem.isAtField = problem.errors.length === 0 && here.length > 0
  return Object.fromEntries(here.map(({ field, message }) => [field, message]))
}

function missing(form) {
  const empty = [...form.elements].filter((input) => input.required && input.value.trim() === '')
  return Object.fromEntries(empty.map((input) => [input.name, 'Please fill this in.']))
}

// Form calls submit with the values by name, shows the wait on its button and every failure
// at its field, and takes the focus to the first.
export function Form({ submit, label, busyLabel = 'Please wait…', danger, children, check = () => ({}), extra, reset }) {
  const [state, set] = useState({ errors: {} })
  const form = useRef(null)
  useEffect(() => {
    form.current.querySelector('[aria-invalid=true]')?.focus()
  }, [state])
  const send = async (event) => {
    event.preventDefault()
    if (state.busy) return
    const values = Object.fromEntries(new FormData(form.current))
    const errors = { ...check(values), ...missing(form.current) }
    say('')
    if (Object.keys(errors).length > 0) return set({ errors })
    set({ errors: {}, busy: true })
    try {
      await submit(values)
      if (reset) form.current?.reset()
      set({ errors: {} })
    } catch (problem) {
      if (!problem.code) throw problem
      set({ problem, errors: sorted(problem, form.current) })
    }
  }
  return html`<form ref=${form} novalidate onSubmit=${send} aria-busy=${!!state.busy}>
    <${Failure} problem=${state.problem?.isAtField ? null : state.problem} />
    <${Errors.Provider} value=${state.errors}>${children}<//>
    <div class="buttons">
      <button type="submit" class=${danger ? 'danger' : 'main'} aria-disabled=${!!state.busy}>${state.busy ? busyLabel : label}</button>
      ${state.busy && html`<progress aria-label=${busyLabel}></progress>`}
      ${extra}
    </div>
  </form>`
}

// changed returns the values of a form that differ from those that it showed, so that what
// somebody else has changed meanwhile stays. An empty one is null.
export function changed(values, shown) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.trim() || null])
    .filter(([name, value]) => value !== (shown[name] ?? null)))
}

// Field is a label with its input, select or textarea, its hint and its error.
export function Field({ name, label, hint, fault, children, ...input }) {
  const error = fault || useContext(Errors)[name]
  const about = [hint && `${name}-hint`, error && `${name}-error`].filter(Boolean).join(' ') || undefined
  const shared = { id: name, name, 'aria-invalid': error ? 'true' : undefined, 'aria-describedby': about, ...input }
  return html`<div class="field">
    <label for=${name}>${label}${!input.required && input.type !== 'search' && html` <span class="fine">(optional)</span>`}</label>
    ${hint && html`<p class="hint" id="${name}-hint">${hint}</p>`}
    ${control(shared, children)}
    <p class="error" id="${name}-error" aria-live="polite">${error}</p>
  </div>`
}

function control(shared, options) {
  if (options) return html`<select ...${shared}>${options}</select>`
  if (shared.type === 'textarea') return html`<textarea rows="4" ...${shared}></textarea>`
  if (shared.type === 'password') return html`<${Password} ...${shared} />`
  return html`<input type="text" ...${shared} />`
}

function Password(input) {
  const [shown, show] = useState(false)
  return html`<div class="password">
    <input ...${input} type=${shown ? 'text' : 'password'} autocapitalize="none" spellcheck=${false} />
    <button type="button" aria-pressed=${shown} aria-label="Show the password" onClick=${() => show(!shown)}>${shown ? 'Hide' : 'Show'}</button>
  </div>`
}

// options are those of a select; chosen is the value at the start.
export function options(values, chosen) {
  return Object.entries(values).map(([value, label]) => html`<option value=${value} selected=${value === chosen}>${label}</option>`)
}

// Action is a button that does something at once and shows the wait and the failure.
export function Action({ run, children, kind = '', ...button }) {
  const [state, set] = useState({})
  const act = async () => {
    if (state.busy) return
    say('')
    set({ busy: true })
    try {
      await run()
      set({})
      keepFocus()
    } catch (problem) {
      if (!problem.code) throw problem
      set({ problem })
    }
  }
  return html`<span class="action">
    <button type="button" class=${kind} aria-disabled=${!!state.busy} onClick=${act} ...${button}>${state.busy ? 'Please wait…' : children}</button>
    <${Failure} problem=${state.problem} />
  </span>`
}

// Confirm is a button that opens a dialog, which asks before something is done. With typed
// the user has to type a text first.
export function Confirm({ button, title, label, typed, run, kind = 'danger', children }) {
  const [open, set] = useState(false)
  return html`
    <button type="button" class=${kind} onClick=${() => set(true)}>${button}</button>
    ${open && html`<${Dialog} title=${title} close=${() => set(false)}>
      ${children}
      <${Form} label=${label} danger=${kind.includes('danger')} submit=${async () => { await run(); set(false) }}
        check=${({ typed: text }) => typed && text !== typed ? { typed: `Type “${typed}” exactly.` } : {}}
        extra=${html`<button type="button" onClick=${() => set(false)}>Cancel</button>`}>
        ${typed && html`<${Field} name="typed" label=${html`Type <strong>${typed}</strong> to confirm`} required autocomplete="off" />`}
      <//>
    <//>`}`
}

// Dialog keeps the focus inside, and Escape closes it; the browser sees to both.
export function Dialog({ title, close, children }) {
  const dialog = useRef(null)
  useEffect(() => {
    const opener = document.activeElement
    dialog.current.showModal()
    return () => {
      opener?.focus()
      keepFocus() // the opener may be gone by then
    }
  }, [])
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${close}>
    <h2 id="dialog-title">${title}</h2>${children}
  </dialog>`
}
