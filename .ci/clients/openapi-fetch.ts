// Uses the API by the types of openapi-typescript, from a registration to the audit trail.
// The compiler proves the types, and this run proves that the server keeps to them.
// Usage: node openapi-fetch.js BASE_URL
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import createClient from 'openapi-fetch'
import type { components, paths } from './api.js'

type User = components['schemas']['User']

const run = randomBytes(6).toString('hex')
const slug = `fetch-${run}`
const password = randomBytes(12).toString('hex')
const client = createClient<paths>({ baseUrl: process.argv[2] ?? '' })

// ok returns what a success answered.
async function ok<T>(request: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await request
  assert.ok(response.ok, `${response.url}: ${response.status} ${JSON.stringify(error)}`)
  return data as T
}

async function logIn(email: string, tenant?: string) {
  const tokens = await ok(client.POST('/api/auth/login', {
    params: { header: tenant ? { 'X-TENANT': tenant } : {} },
    body: { email, password },
  }))
  return { Authorization: `Bearer ${tokens.access_token}` }
}

function registerInside(email: string, invitation?: string): Promise<User> {
  return ok(client.POST('/api/auth/register', {
    params: { header: { 'X-TENANT': slug } },
    body: { email, password, invitation_token: invitation ?? null },
  }))
}

const ada = `ada-${run}@example.com`
const grace = `grace-${run}@example.com`
const hank = `hank-${run}@example.com`

const registered = await ok(client.POST('/api/auth/register', { body: { email: ada, password, full_name: 'Ada' } }))
assert.equal(registered.role, undefined, 'a user of the core has no role')
const core = await logIn(ada)
const organization = await ok(client.POST('/api/organizations/', {
  headers: core, body: { name: 'Acme', slug, description: 'Makers of everything' },
}))
assert.equal(organization.owner_id, registered.id)
const cleared = await ok(client.PUT('/api/organizations/{slug}', {
  headers: core, params: { path: { slug } }, body: { description: null },
}))
assert.equal(cleared.description, null)

const member: User = await registerInside(grace)
assert.equal(member.role, 'member')
const owner = await logIn(ada, slug)
const first = await ok(client.GET('/api/users/', { headers: owner, params: { query: { limit: 1 } } }))
assert.ok(first.next_cursor)
const second = await ok(client.GET('/api/users/', {
  headers: owner, params: { query: { limit: 1, cursor: first.next_cursor } },
}))
assert.deepEqual([...first.items, ...second.items].map((user) => user.email), [ada, grace])
assert.equal(second.next_cursor, null)

const path = { id: member.id }
const admin = await ok(client.PUT('/api/users/{id}', {
  headers: owner, params: { path }, body: { role: 'admin', bio: 'Wrote a compiler', phone: '1' },
}))
assert.deepEqual([admin.role, admin.phone], ['admin', '1'])
const changed = await ok(client.PUT('/api/users/{id}', { headers: owner, params: { path }, body: { phone: null } }))
assert.deepEqual([changed.bio, changed.phone], ['Wrote a compiler', null])
const profile: User = await ok(client.GET('/api/users/me', { headers: await logIn(grace, slug) }))
assert.deepEqual({ ...profile }, { ...changed })

const invitation = await ok(client.POST('/api/invitations/', { headers: owner, body: { email: hank, role: 'admin' } }))
const open = await ok(client.GET('/api/invitations/', { headers: owner }))
assert.deepEqual(open.items.map((one) => one.id), [invitation.id])
assert.equal((await registerInside(hank, invitation.token)).role, 'admin')
assert.equal((await logIn(hank, slug)).Authorization.length > 0, true)

const events = await ok(client.GET('/api/audit/', {
  headers: owner, params: { query: { action: 'user.role_changed' } },
}))
assert.deepEqual(events.items.map((event) => [event.actor?.email, event.target?.id]), [[ada, member.id]])

const { error } = await client.GET('/api/users/')
assert.equal(error?.code, 'not_authenticated')
await ok(client.POST('/api/auth/logout', { headers: owner }))
const { error: ended } = await client.GET('/api/users/me', { headers: owner })
assert.equal(ended?.code, 'invalid_token')
