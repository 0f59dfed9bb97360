// Pages of owners and admins about the users of an organization.
import { useState } from '../../lib/hooks/index.js'
import { Pages, Secret, Tag, Time, usePages } from '../lists.js'
import { go } from '../router.js'
import { call, get } from '../sessions.js'
import { Action, changed, Confirm, Field, Form, html, Loaded, options, Page, say, useLoad } from '../ui.js'
import { Person } from './own.js'

// roles are those that a user may give.
export function roles(me) {
  const known = { member: 'Member: no rights over others', admin: 'Admin: manages users, except owners' }
  return me.role === 'owner' ? { ...known, owner: 'Owner: manages everything' } : known
}

export function Users({ place, me }) {
  const [q, find] = useState('')
  const list = usePages(place, '/api/users/', { q })
  const base = `#/in/${place}/users`
  const columns = [
    { label: 'E-mail', cell: (user) => html`<a href="${base}/${user.id}">${user.email}</a>` },
    { label: 'Name', cell: (user) => user.full_name },
    { label: 'Role', cell: (user) => html`<${Tag}>${user.role}<//> ${user.id === me.id && html`<${Tag} kind="good">you<//>`}` },
    { label: 'State', cell: (user) => user.is_active ? html`<${Tag} kind="good">active<//>` : html`<${Tag} kind="bad">deactivated<//>` },
    { label: 'Registered', cell: (user) => html`<${Time} at=${user.created_at} />` },
  ]
  return html`<${Page} title="Users" lead=${html`Everybody who can sign in to <strong>${place}</strong>.`}
    actions=${html`<a class="button" href="#/in/${place}/invitations">Invite</a> <a class="button main" href="${base}/new">New user</a>`}>
    <div class="filter" role="search"><${Form} submit=${(values) => find(values.q.trim())} label="Search">
      <${Field} name="q" type="search" label="Part of an e-mail address or name" maxlength="100" autocomplete="off" /><//></div>
    <${Pages} list=${list} caption="Users" columns=${columns}
      empty=${q ? html`Nobody has “${q}” in their address or name. Search for something shorter, or clear the field.` : 'There are no users yet. Invite the first one.'} />
  <//>`
}

export function NewUser({ place, me }) {
  const submit = async (values) => {
    const set = Object.fromEntries(Object.entries(values).filter(([, value]) => value.trim() !== ''))
    const { body } = await call(place, 'POST', '/api/users/', set)
    say(`${body.email} can sign in now.`)
    go(`/in/${place}/users/${body.id}`)
  }
  return html`<${Page} title="New user" lead=${html`You choose the password and hand it over. To let the user choose it, <a href="#/in/${place}/invitations">invite</a> instead.`}>
    <${Form} submit=${submit} label="Create" busyLabel="Creating…">
      <${Field} name="email" label="E-mail address" type="email" required autocomplete="off" />
      <${Field} name="password" label="Password" type="password" required autocomplete="new-password" hint="At least 8 characters." />
      <${Field} name="role" label="Role" required>${options(roles(me), 'member')}<//>
      <${Person} user=${{}} inside />
    <//>
  <//>`
}

export function User({ place, me, id }) {
  const loaded = useLoad(() => get(place, `/api/users/${id}`), [place, id])
  return html`<${Page} title=${loaded.data?.email ?? 'User'} lead=${html`<a href="#/in/${place}/users">All users</a>`}>
    <${Loaded} from=${loaded}>${(user) => html`
      <section><h2>Data and role</h2><${Details} place=${place} me=${me} user=${user} reload=${loaded.reload} /></section>
      <section><h2>Forgotten password</h2><${Reset} place=${place} user=${user} me=${me} /></section>
      <section class="risky"><h2>Access</h2><${Access} place=${place} user=${user} reload=${loaded.reload} /></section>`}<//>
  <//>`
}

function Details({ place, me, user, reload }) {
  const submit = async (values) => {
    await call(place, 'PUT', `/api/users/${user.id}`, changed(values, user))
    say(`${user.email} is saved.`)
    await reload()
  }
  return html`
    <dl><dt>State</dt><dd>${user.is_active ? html`<${Tag} kind="good">active<//>` : html`<${Tag} kind="bad">deactivated<//>`}</dd>
      <dt>Registered</dt><dd><${Time} at=${user.created_at} /></dd></dl>
    <${Form} submit=${submit} label="Save" busyLabel="Saving…">
      <${Field} name="role" label="Role" required>${options({ ...roles(me), [user.role]: roles(me)[user.role] ?? 'Owner' }, user.role)}<//>
      <${Person} user=${user} inside />
    <//>`
}

function Reset({ place, user, me }) {
  const [made, set] = useState(null)
  if (user.id === me.id) return html`<p>You change your own password in your <a href="#/in/${place}/profile">profile</a>.</p>`
  const make = async () => {
    set((await call(place, 'POST', `/api/users/${user.id}/password-reset`)).body)
    say('The token is made. It is shown this once.')
  }
  const link = made && address(`/password-reset?tenant=${place}&token=${made.token}`)
  return html`
    <p>Make a token with which ${user.email} chooses a new password. Nothing changes until it is used.</p>
    ${made
      ? html`<${Secret} label="Token, shown this once" text=${made.token} /><${Secret} label="Or a link with it" text=${link} />
        <p>Hand it over yourself; the server sends nothing. It is good until <${Time} at=${made.expires_at} />.</p>`
      : html`<${Action} run=${make}>Make a token<//>`}`
}

// address is a link to a page of the console, for another user.
export function address(path) {
  return `${location.origin}/console#${path}`
}

function Access({ place, user, reload }) {
  const set = async (active) => {
    await call(place, 'PUT', `/api/users/${user.id}`, { is_active: active })
    say(active ? `${user.email} can sign in again.` : `${user.email} is kept out.`)
    await reload()
  }
  const remove = async () => {
    await call(place, 'DELETE', `/api/users/${user.id}`)
    say(`${user.email} is removed.`)
    go(`/in/${place}/users`)
  }
  return html`<div class="buttons">
    ${user.is_active
      ? html`<${Confirm} key="out" button="Deactivate" kind="" label="Deactivate" title="Deactivate ${user.email}?" run=${() => set(false)}>
          <p>The user is signed out at once and cannot sign in until you activate them again.</p><//>`
      : html`<${Action} key="in" run=${() => set(true)}>Activate<//>`}
    <${Confirm} button="Remove" label="Remove" title="Remove ${user.email}?" run=${remove}>
      <p>The user is signed out at once, and their record is removed. This cannot be undone.</p><//>
  </div>`
}
