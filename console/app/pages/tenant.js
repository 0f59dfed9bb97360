// Pages of owners and admins about an organization they are in: invitations and settings.
import { useState } from '../../lib/hooks/index.js'
import { Pages, Secret, Tag, Time, usePages } from '../lists.js'
import { go } from '../router.js'
import { call, find, forget, get } from '../sessions.js'
import { Action, Confirm, Field, Form, html, Loaded, options, Page, say, useLoad } from '../ui.js'
import { registration, State } from './organizations.js'
import { address, roles } from './users.js'

export function Invitations({ place, me }) {
  const list = usePages(place, '/api/invitations/')
  const [made, set] = useState(null)
  const invite = async (values) => {
    set((await call(place, 'POST', '/api/invitations/', values)).body)
    say(`${values.email} is invited. Hand over the link below: an earlier link no longer works.`)
    list.reload()
  }
  const withdraw = async (invitation) => {
    await call(place, 'DELETE', `/api/invitations/${invitation.id}`)
    if (made?.id === invitation.id) set(null)
    say(`The invitation of ${invitation.email} is withdrawn.`)
    await list.reload()
  }
  const columns = [
    { label: 'E-mail', cell: (i) => i.email },
    { label: 'Role', cell: (i) => html`<${Tag}>${i.role}<//>` },
    { label: 'Good until', cell: (i) => html`<${Time} at=${i.expires_at} />` },
    { label: 'Withdraw', quiet: true, cell: (i) => html`<${Action} run=${() => withdraw(i)} aria-label="Withdraw the invitation of ${i.email}">Withdraw<//>` },
  ]
  return html`<${Page} title="Invitations" lead="An invited user registers with a link, which you hand over yourself. It is good once, for 7 days.">
    <section><h2>Invite a user</h2>
      <${Form} submit=${invite} label="Invite" busyLabel="Inviting…" reset>
        <${Field} name="email" label="E-mail address" type="email" required autocomplete="off" />
        <${Field} name="role" label="Role" required>${options(roles(me), 'member')}<//>
      <//>
      ${made && html`<div class="made" key=${made.id}>
        <${Secret} label="Link for ${made.email}, shown this once" text=${address(`/invitation?tenant=${place}&token=${made.token}`)} />
        <${Secret} label="Or the token alone" text=${made.token} /></div>`}
    </section>
    <section><h2>Open invitations</h2>
      <${Pages} list=${list} caption="Open invitations" columns=${columns} empty="No invitation is open. Invite a user above." /></section>
  <//>`
}

// Settings are for the owners of a tenant without an organization; the server tells others
// where theirs are.
export function Settings({ place }) {
  const loaded = useLoad(() => get(place, '/api/tenant'), [place])
  if (loaded.problem?.code === 'core_token_required') {
    return html`<${Page} title="Settings" lead="This organization is managed from outside.">
      <p>Its owner sets its name, its registration and its state.
        If that is you, ${find('') ? '' : 'sign in without an organization and '}open <a href="#/core/organizations/${place}">its settings</a>.</p><//>`
  }
  return html`<${Page} title="Settings" lead=${html`Of the organization <strong>${place}</strong>.`}>
    <${Loaded} from=${loaded}>${(tenant) => html`<${Own} place=${place} tenant=${tenant} reload=${loaded.reload} />`}<//>
  <//>`
}

function Own({ place, tenant, reload }) {
  const change = async (values, text) => {
    await call(place, 'PUT', '/api/tenant', values)
    say(text)
    await reload()
  }
  const remove = async () => {
    await call(place, 'DELETE', '/api/tenant')
    forget(place)
    say(`${tenant.slug} is deleted.`)
    go('/')
  }
  return html`
    <section><h2>Registration</h2>
      <${Form} submit=${(values) => change(values, 'The settings are saved.')} label="Save" busyLabel="Saving…">
        <${Field} name="registration" label="Who may register" required>${options(registration, tenant.registration)}<//>
      <//></section>
    <section><h2>State</h2>
      <p><${State} active=${tenant.is_active} /></p>
      ${tenant.is_active
        ? html`<${Confirm} key="suspend" button="Suspend" kind="" label="Suspend" title="Suspend ${tenant.slug}?"
            run=${() => change({ is_active: false }, `${tenant.slug} is suspended.`)}>
            <p>All its users are refused at once, until an owner resumes it here. Nothing is deleted.</p><//>`
        : html`<${Action} key="resume" kind="main" run=${() => change({ is_active: true }, `${tenant.slug} works again.`)}>Resume<//>`}
    </section>
    <section class="risky"><h2>Delete</h2>
      <p>This removes the organization with all its users and data. You cannot undo it here.</p>
      <${Confirm} button="Delete the organization" label="Delete for ever" title="Delete ${tenant.slug}?" typed=${tenant.slug} run=${remove}>
        <p>All its users are refused at once, and all its data is removed.</p><//></section>`
}
