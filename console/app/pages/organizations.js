// Pages of a core user about the organizations that they own.
import { useState } from '../../lib/hooks/index.js'
import { Pages, Tag, Time, usePages } from '../lists.js'
import { go, home } from '../router.js'
import { call, enter, find, forget, get, move } from '../sessions.js'
import { slugCheck, slugFault, slugOf } from '../slug.js'
import { Action, changed, Confirm, Field, Form, html, Loaded, options, Page, say, useLoad } from '../ui.js'
import { Backups } from './backups.js'

export const registration = {
  open: 'Open: everybody who knows the short name',
  invite: 'By invitation only',
  closed: 'Closed: nobody',
}

export function State({ active }) {
  return active ? html`<${Tag} kind="good">active<//>` : html`<${Tag} kind="bad">suspended<//>`
}

async function goInside(slug) {
  if (!find(slug)) await enter(slug)
  say(`You are inside ${slug}.`)
  go(home(slug))
}

export function Organizations() {
  const list = usePages('', '/api/organizations/')
  const columns = [
    { label: 'Name', cell: (org) => html`<a href="#/core/organizations/${org.slug}">${org.name}</a>` },
    { label: 'Short name', cell: (org) => html`<code>${org.slug}</code>` },
    { label: 'State', cell: (org) => html`<${State} active=${org.is_active} />` },
    { label: 'Registration', cell: (org) => registration[org.registration].split(':')[0] },
    { label: 'Created', cell: (org) => html`<${Time} at=${org.created_at} />` },
    { label: 'Enter', quiet: true, cell: (org) => org.is_active && html`<${Action} run=${() => goInside(org.slug)} aria-label="Enter ${org.name}">Enter<//>` },
  ]
  return html`<${Page} title="Organizations" lead="Each has users and data of its own, in a database of its own."
    actions=${html`<a class="button main" href="#/core/organizations/new">New organization</a>`}>
    <${Pages} list=${list} caption="Your organizations" columns=${columns} empty=${html`
      <h2>No organization yet</h2>
      <p>Create the first one. Then you can enter it and invite its users.</p>
      <p><a class="button main" href="#/core/organizations/new">Create an organization</a></p>`} />
  <//>`
}

export function NewOrganization() {
  const [slug, set] = useState('')
  const [own, setOwn] = useState(false) // typed by the user, not derived
  const [fault, setFault] = useState('')
  const change = (text) => { set(text); setFault(text && slugFault(text)) }
  const submit = async (values) => {
    await call('', 'POST', '/api/organizations/', { ...values, description: values.description.trim() || null })
    say(`${values.name} is ready. You can enter it now.`)
    go(`/core/organizations/${values.slug}`)
  }
  return html`<${Page} title="New organization" lead="It gets a database of its own, with you as its first owner.">
    <${Form} submit=${submit} label="Create" busyLabel="Creating…" check=${slugCheck('slug')}>
      <${Field} name="name" label="Name" required maxlength="200" autocomplete="off" onInput=${(event) => !own && change(slugOf(event.target.value))} />
      <${Field} name="slug" label="Short name" required autocomplete="off" autocapitalize="none" spellcheck=${false} value=${slug} fault=${fault}
        onInput=${(event) => { setOwn(event.target.value !== ''); change(event.target.value) }}
        hint="Its users sign in with it: 2 to 40 of a–z, 0–9 and hyphens. It must be new on this server." />
      <${Field} name="description" label="Description" type="textarea" maxlength="2000" />
      <${Field} name="registration" label="Who may register" required>${options(registration, 'invite')}<//>
    <//>
  <//>`
}

export function Organization({ slug }) {
  const loaded = useLoad(() => get('', `/api/organizations/${slug}`), [slug])
  return html`<${Page} title=${loaded.data?.name ?? slug} lead=${html`<a href="#/core/organizations">All organizations</a>`}>
    <${Loaded} from=${loaded}>${(org) => html`
      <section><h2>At a glance</h2><${Glance} org=${org} reload=${loaded.reload} /></section>
      <section><h2>Settings</h2><${Settings} org=${org} reload=${loaded.reload} /></section>
      <${Backups} slug=${org.slug} />
      <section class="risky"><h2>Delete</h2><${Deletion} org=${org} /></section>`}<//>
  <//>`
}

function Glance({ org, reload }) {
  const set = async (active) => {
    await call('', 'PUT', `/api/organizations/${org.slug}`, { is_active: active })
    say(active ? `${org.name} works again.` : `${org.name} is suspended.`)
    await reload()
  }
  return html`
    <dl>
      <dt>State</dt><dd><${State} active=${org.is_active} /></dd>
      <dt>Short name</dt><dd><code>${org.slug}</code></dd>
      <dt>Created</dt><dd><${Time} at=${org.created_at} /></dd>
    </dl>
    <div class="buttons">
      ${org.is_active
        ? html`<${Action} kind="main" run=${() => goInside(org.slug)}>Enter<//>
          <${Confirm} key="suspend" button="Suspend" kind="" label="Suspend" title="Suspend ${org.name}?" run=${() => set(false)}>
            <p>All its users are refused at once, until you resume it. Nothing is deleted.</p><//>`
        : html`<${Action} key="resume" kind="main" run=${() => set(true)}>Resume<//>`}
    </div>`
}

function Settings({ org, reload }) {
  const submit = async (values) => {
    const { slug } = (await call('', 'PUT', `/api/organizations/${org.slug}`, changed(values, org))).body
    move(org.slug, slug)
    say(slug === org.slug ? 'The settings are saved.' : `Saved. The old short name ${org.slug} still leads here.`)
    if (slug === org.slug) return reload()
    go(`/core/organizations/${slug}`)
  }
  return html`<${Form} submit=${submit} label="Save" busyLabel="Saving…">
    <${Field} name="name" label="Name" required maxlength="200" defaultValue=${org.name} autocomplete="off" />
    <${Field} name="slug" label="Short name" required defaultValue=${org.slug} autocomplete="off" autocapitalize="none" spellcheck=${false}
      hint="After a change the old one still leads here. No other organization can take it." />
    <${Field} name="description" label="Description" type="textarea" maxlength="2000" defaultValue=${org.description ?? ''} />
    <${Field} name="registration" label="Who may register" required>${options(registration, org.registration)}<//>
  <//>`
}

function Deletion({ org }) {
  const remove = async () => {
    const { status, location } = await call('', 'DELETE', `/api/organizations/${org.slug}`)
    forget(org.slug)
    say(status === 202 ? `${org.name} is closed. The server is still removing its data.` : `${org.name} is deleted.`)
    go(location ? location.replace('/api/', '/core/') : '/core/organizations')
  }
  return html`
    <p>This removes the organization with all its users and data. You cannot undo it here.</p>
    <${Confirm} button="Delete the organization" label="Delete for ever" title="Delete ${org.name}?" typed=${org.slug} run=${remove}>
      <p>All users of <strong>${org.name}</strong>, short name <code>${org.slug}</code>, are refused at once, and all its data is removed.</p><//>`
}
