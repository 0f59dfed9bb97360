// Pages about the user, at the core or in an organization: profile, password, sessions, audit.
import { useState } from '../../lib/hooks/index.js'
import { Pages, Tag, Time, usePages, words } from '../lists.js'
import { passwordHint } from './enter.js'
import { call, changePassword, forget, get, signOut } from '../sessions.js'
import { Action, changed, Confirm, Field, Form, html, Loaded, options, Page, say, useLoad } from '../ui.js'

export function Profile({ place }) {
  const profile = useLoad(() => get(place, '/api/users/me'), [place])
  return html`<${Page} title="Profile" lead=${place ? html`You in the organization <strong>${place}</strong>.` : 'You on this server.'}>
    <${Loaded} from=${profile}>${(user) => html`
      <section><h2>About you</h2><${About} place=${place} user=${user} reload=${profile.reload} /></section>
      <section><h2>Password</h2><${NewPassword} place=${place} email=${user.email} /></section>
      <section><h2>Your data</h2><p>A file with all that is stored about you here, for you or for another program.</p>
        <${Action} run=${() => download(place)}>Download<//></section>`}<//>
  <//>`
}

async function download(place) {
  const data = await get(place, '/api/users/me/export')
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }))
  link.download = 'my-data.json'
  link.click()
  URL.revokeObjectURL(link.href)
  say('Your data is downloaded.')
}

function About({ place, user, reload }) {
  const submit = async (values) => {
    await call(place, 'PUT', '/api/users/me', changed(values, user))
    say('Your profile is saved.')
    await reload()
  }
  return html`
    <dl>
      <dt>E-mail address</dt><dd>${user.email}</dd>
      ${user.role && html`<dt>Role</dt><dd><${Tag}>${user.role}<//></dd>`}
      <dt>Registered</dt><dd><${Time} at=${user.created_at} /></dd>
    </dl>
    <${Form} submit=${submit} label="Save" busyLabel="Saving…"><${Person} user=${user} inside=${place !== ''} /><//>`
}

// Person has the fields of a user that the user may change.
export function Person({ user, inside }) {
  return html`
    <${Field} name="full_name" label="Full name" autocomplete="off" maxlength="200" defaultValue=${user.full_name ?? ''} />
    ${inside && html`
      <${Field} name="phone" label="Phone" type="tel" autocomplete="off" maxlength="32" defaultValue=${user.phone ?? ''} />
      <${Field} name="bio" label="Bio" type="textarea" maxlength="2000" defaultValue=${user.bio ?? ''} />`}`
}

function NewPassword({ place, email }) {
  const submit = async (values) => {
    await changePassword(place, values)
    say('Your password is changed. You are signed out everywhere else.')
  }
  return html`<${Form} submit=${submit} label="Change the password" busyLabel="Changing…" reset>
    <input class="hidden" type="email" name="username" autocomplete="username" value=${email} tabindex="-1" aria-hidden="true" readonly />
    <${Field} name="current_password" label="Current password" type="password" required autocomplete="current-password" />
    <${Field} name="new_password" label="New password" type="password" required autocomplete="new-password"
      hint="${passwordHint} All your other sessions end." />
  <//>`
}

export function Sessions({ place }) {
  const list = usePages(place, '/api/auth/sessions')
  const end = async (session) => {
    await call(place, 'DELETE', `/api/auth/sessions/${session.id}`)
    if (session.current) return forget(place)
    say('The session has ended.')
    await list.reload()
  }
  const columns = [
    { label: 'Browser', cell: (s) => html`${browser(s.user_agent)} ${s.current && html`<${Tag} kind="good">this one<//>`}` },
    { label: 'Address', cell: (s) => s.ip },
    { label: 'Signed in', cell: (s) => html`<${Time} at=${s.created_at} />` },
    { label: 'Last used', cell: (s) => html`<${Time} at=${s.last_used_at} />` },
    { label: 'End', quiet: true, cell: (s) => html`<${Action} run=${() => end(s)} aria-label="End the session of ${browser(s.user_agent)} at ${s.ip}">End<//>` },
  ]
  return html`<${Page} title="Sessions" lead="Where you are signed in. End what you do not know, then change your password."
    actions=${html`<${Confirm} button="Sign out everywhere" title="Sign out everywhere?" label="Sign out everywhere"
      run=${() => signOut(place, { everywhere: true })}><p>All your sessions end, this one too${place ? '' : ', and those in organizations that you own'}.</p><//>`}>
    <${Pages} list=${list} caption="Your sessions" columns=${columns} empty="There is no session." />
  <//>`
}

// browser names what a client calls itself in a few words.
export function browser(agent) {
  const name = ['Firefox', 'Edg', 'OPR', 'Chrome', 'Safari'].find((word) => agent.includes(`${word}/`))
  const system = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS X', 'Linux'].find((word) => agent.includes(word))
  if (!name) return agent.slice(0, 60) || 'Unknown program'
  return [{ Edg: 'Edge', OPR: 'Opera' }[name] ?? name, system?.replace('Mac OS X', 'macOS')].filter(Boolean).join(' on ')
}

const actions = [
  'user.signed_in', 'user.sign_in_refused', 'user.registered', 'session.reuse_detected', 'session.ended', 'sessions.ended',
  'password.changed', 'password.change_refused', 'password.reset_issued', 'password.reset', 'user.created', 'user.updated',
  'user.role_changed', 'user.deactivated', 'user.activated', 'user.removed', 'invitation.created', 'invitation.withdrawn',
  'invitation.accepted', 'organization.created', 'organization.updated', 'organization.renamed', 'organization.suspended',
  'organization.resumed', 'organization.deleted', 'organization.entered', 'organization.forgotten', 'organization.restored',
  'organization.cloned', 'organization.backed_up', 'organization.exported', 'organization.export_downloaded',
  'organization.imported', 'organization.sql_run', 'fleet.restore_begun', 'fleet.restored', 'slug.released',
  'operation.cancelled', 'audit.pruned', 'request.refused',
]

export function Audit({ place }) {
  const [action, choose] = useState('')
  const list = usePages(place, '/api/audit/', { action })
  const columns = [
    { label: 'What', cell: (e) => html`${words(e.action)} ${e.outcome === 'refused' && html`<${Tag} kind="bad">refused<//>`}` },
    { label: 'By', cell: (e) => e.actor?.email },
    { label: 'About', cell: (e) => e.target ? [e.target.kind, e.target.name].filter(Boolean).join(' ') : null },
    { label: 'Detail', cell: (e) => e.detail },
    { label: 'When', cell: (e) => html`<${Time} at=${e.at} />` },
    { label: 'From', cell: (e) => e.ip && html`<span class="address">${e.ip}</span>` },
  ]
  const labels = Object.fromEntries([['', 'Everything'], ...actions.map((name) => [name, words(name)])])
  return html`<${Page} title="Audit" lead=${place ? 'Everything that happened in this organization, the newest first.' : 'Everything that you did or that happened to your organizations, the newest first.'}>
    <div class="filter"><${Field} name="action" label="Show" required onChange=${(event) => choose(event.target.value)}>${options(labels, action)}<//></div>
    <${Pages} list=${list} caption="Audit events" columns=${columns}
      empty=${action ? 'Nothing of this kind is on record. Choose “Everything” to see all events.' : 'Nothing is on record yet.'} />
  <//>`
}

