// Uses the API by orval's client of fetch, from a registration to the audit trail, and
// parses each answer by orval's schemas of zod. None may lose a field.
// Usage: node orval.js, with the address in the generated client
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import * as api from './fetch.js'
import * as strict from './strict.js'
import * as zod from './zod.js'

const run = randomBytes(6).toString('hex')
const slug = `orval-${run}`
const password = randomBytes(12).toString('hex')

type Schemas = typeof zod & typeof strict
type Name = { [K in keyof Schemas]: K extends `${string}Response` ? K : never }[keyof Schemas]
type Success<T> = T extends { status: 200 | 201; data: infer D } ? D : never

// ok returns what a success answered, once both kinds of schemas have kept all of it.
async function ok<T extends { status: number; data: unknown }>(name: Name, request: Promise<T>): Promise<Success<T>> {
  const { status, data } = await request
  assert.ok(status < 300, `${name}: ${status} ${JSON.stringify(data)}`)
  assert.deepEqual(strict[name].parse(data), data, name)
  assert.deepEqual(zod[name].parse(data), data, name)
  return data as Success<T>
}

const inside = { headers: { 'X-TENANT': slug } }

async function logIn(email: string, options?: RequestInit) {
  const tokens = await ok('LoginResponse', api.login({ email, password }, options))
  return { headers: { Authorization: `Bearer ${tokens.access_token}` } }
}

const ada = `ada-${run}@example.com`
const grace = `grace-${run}@example.com`
const hank = `hank-${run}@example.com`

const registered = await ok('RegisterResponse', api.register({ email: ada, password, full_name: 'Ada' }))
assert.equal(registered.role, undefined, 'a user of the core has no role')
const core = await logIn(ada)
const organization = await ok('CreateOrganizationResponse',
  api.createOrganization({ name: 'Acme', slug, description: 'Makers of everything' }, core))
assert.equal(organization.owner_id, registered.id)
const cleared = await ok('UpdateOrganizationResponse', api.updateOrganization(slug, { description: null }, core))
assert.equal(cleared.description, null)

const member = await ok('RegisterResponse', api.register({ email: grace, password }, inside))
assert.equal(member.role, 'member')
const owner = await logIn(ada, inside)
const first = await ok('ListUsersResponse', api.listUsers({ limit: 1 }, owner))
assert.ok(first.next_cursor)
const second = await ok('ListUsersResponse', api.listUsers({ limit: 1, cursor: first.next_cursor }, owner))
assert.deepEqual([...first.items, ...second.items].map((user) => user.email), [ada, grace])
assert.equal(second.next_cursor, null)

const admin = await ok('UpdateUserResponse',
  api.updateUser(member.id, { role: 'admin', bio: 'Wrote a compiler', phone: '1' }, owner))
assert.deepEqual([admin.role, admin.phone], ['admin', '1'])
const changed = await ok('UpdateUserResponse', api.updateUser(member.id, { phone: null }, owner))
assert.deepEqual([changed.bio, changed.phone], ['Wrote a compiler', null])
assert.deepEqual(await ok('GetProfileResponse', api.getProfile(await logIn(grace, inside))), changed)

const invitation = await ok('CreateInvitationResponse', api.createInvitation({ email: hank, role: 'admin' }, owner))
const open = await ok('ListInvitationsResponse', api.listInvitations(undefined, owner))
assert.deepEqual(open.items.map((one) => one.id), [invitation.id])
const accepted = await ok('RegisterResponse',
  api.register({ email: hank, password, invitation_token: invitation.token }, inside))
assert.equal(accepted.role, 'admin')
await logIn(hank, inside)

const events = await ok('ListEventsResponse', api.listEvents({ action: 'user.role_changed' }, owner))
assert.deepEqual(events.items.map((event) => [event.actor?.email, event.target?.id]), [[ada, member.id]])
await ok('ListEventsResponse', api.listEvents(undefined, core))
await ok('ExportOwnDataResponse', api.exportOwnData(owner))

const refused = await api.listUsers()
assert.ok(refused.status === 403 && refused.data.code === 'not_authenticated')
assert.equal((await api.logout(undefined, owner)).status, 204)
const ended = await api.getProfile(owner)
assert.ok(ended.status === 401 && ended.data.code === 'invalid_token')
