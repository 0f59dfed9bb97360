// The sessions of this browser: at most one at the core, whose place is '', and one in each
// organization, whose place is its slug. Access tokens stay in memory. Refresh tokens are
// kept in localStorage, so that all tabs use the same: each is good once, and a tab that
// sent an old one would end the session for all of them.
import { useEffect, useState } from '../lib/hooks/index.js'
import { Problem, send } from './api.js'

const prefix = 'multitenant.console.session.'
const access = new Map() // by place
const listeners = new Set()
const channel = new BroadcastChannel('multitenant.console')

channel.onmessage = ({ data }) => access.set(data.place, data.token)
window.addEventListener('storage', ({ key, newValue }) => {
  if (key !== null && !key.startsWith(prefix)) return
  if (newValue === null) forgetAccess(key)
  changed()
})

function forgetAccess(key) {
  if (key === null) access.clear() // all of the storage was cleared
  else access.delete(key.slice(prefix.length))
}

function changed() {
  for (const listener of listeners) listener()
}

// find returns what is kept of the session at a place, or null.
export function find(place) {
  try {
    return JSON.parse(localStorage.getItem(prefix + place))
  } catch {
    return null
  }
}

// list returns the places with a session, the core first.
export function list() {
  return Object.keys(localStorage).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)).sort()
}

// useSessions renders a component again when a session begins or ends, also in another tab.
export function useSessions() {
  const [, set] = useState(0)
  useEffect(() => {
    const listener = () => set((n) => n + 1)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }, [])
  return list()
}

// begin keeps the tokens of a new session. A session that was entered from the core ends with it.
export function begin(place, tokens, { email, entered = false }) {
  keep(place, tokens, { email, entered })
  changed()
}

function keep(place, tokens, about) {
  localStorage.setItem(prefix + place, JSON.stringify({ ...about, refresh: tokens.refresh_token }))
  access.set(place, tokens.access_token)
  channel.postMessage({ place, token: tokens.access_token })
}

// move takes the session at a place along when the organization is renamed.
export function move(place, to) {
  const kept = find(place)
  if (place === to || !kept) return
  const { refresh, ...about } = kept
  keep(to, { refresh_token: refresh, access_token: access.get(place) }, about)
  forget(place)
}

// forget removes the session at a place, and with the core's those that were entered from there.
export function forget(place) {
  for (const other of list()) {
    if (other === place || (place === '' && find(other)?.entered)) {
      localStorage.removeItem(prefix + other)
      access.delete(other)
    }
  }
  changed()
}

// exclusively runs one task at a time for a place, in all tabs. Without locks, which
// browsers have on HTTPS and on this machine only, the server bears with two tabs that
// refresh within 10 seconds.
function exclusively(place, task) {
  return navigator.locks ? navigator.locks.request(prefix + place, task) : task()
}

// renew returns an access token other than the one that was refused.
function renew(place, refused) {
  return exclusively(place, async () => {
    const current = access.get(place)
    if (current && current !== refused) return current // another request or tab was faster
    const kept = find(place)
    if (!kept) throw ended()
    try {
      const { body } = await refresh(kept.refresh)
      keep(place, body, { email: kept.email, entered: kept.entered })
      return body.access_token
    } catch (problem) {
      if (problem.status !== 401) throw problem
      forget(place)
      throw ended()
    }
  })
}

// refresh asks once more when no answer came: within 10 seconds the same tokens come again.
async function refresh(token) {
  const request = { body: { refresh_token: token } }
  try {
    return await send('POST', '/api/auth/refresh', request)
  } catch (problem) {
    if (problem.status !== 0) throw problem
    return send('POST', '/api/auth/refresh', request)
  }
}

function ended() {
  return new Problem({ status: 401, code: 'session_ended', detail: 'Your session has ended. Please sign in again.' })
}

// authorized calls a function with an access token, and once more with the next one if that
// is refused.
async function authorized(place, request) {
  const token = access.get(place) ?? await renew(place)
  try {
    return await request(token)
  } catch (problem) {
    if (problem.status !== 401) throw problem
  }
  const next = await renew(place, token)
  try {
    return await request(next)
  } catch (problem) {
    if (problem.status !== 401) throw problem
    forget(place)
    throw ended()
  }
}

// call makes a request at a place, as its user, and returns { status, body, location }.
export function call(place, method, path, body) {
  return authorized(place, (token) => send(method, path, { body, token }))
}

// get returns the body of the answer at a path.
export async function get(place, path) {
  return (await call(place, 'GET', path)).body
}

// changePassword keeps the tokens of the answer: those from before are dead. No tab may
// refresh meanwhile.
export function changePassword(place, body) {
  return authorized(place, (token) => exclusively(place, async () => {
    const answer = await send('PUT', '/api/users/me/password', { body, token })
    const { email, entered } = find(place) ?? {}
    keep(place, answer.body, { email, entered })
  }))
}

// signIn begins a session with a password.
export async function signIn(place, { email, password }) {
  const { body } = await send('POST', '/api/auth/login', { body: { email, password }, tenant: place })
  begin(place, body, { email })
}

// enter begins a session in an organization, as its owner, without another password.
export async function enter(slug) {
  const { body } = await call('', 'POST', `/api/organizations/${slug}/token`)
  begin(slug, body, { email: find('')?.email, entered: true })
}

// signOut ends the session at the server, and then here. One that has ended already is only
// forgotten.
export async function signOut(place, { everywhere = false } = {}) {
  try {
    await call(place, 'POST', everywhere ? '/api/auth/logout?scope=all' : '/api/auth/logout')
  } catch (problem) {
    if (problem.status !== 401) throw problem
  }
  forget(place)
}
