// The frame around the pages, and which page is at which address.
import { render } from '../lib/preact/index.js'
import { useEffect, useRef, useState } from '../lib/hooks/index.js'
import { base, go, home, leave, useRoute, wasLed } from './router.js'
import { find, get, list, signOut, useSessions } from './sessions.js'
import { Action, Failure, html, Page, Said, say, useLoad, Waiting } from './ui.js'
import { Invitation, NotFound, PasswordReset, Register, SignIn } from './pages/enter.js'
import { NewOrganization, Organization, Organizations } from './pages/organizations.js'
import { Audit, Profile, Sessions } from './pages/own.js'
import { Operation, Restoration } from './pages/backups.js'
import { Invitations, Settings } from './pages/tenant.js'
import { NewUser, User, Users } from './pages/users.js'

// Pages that need no session.
const open = { '/sign-in': SignIn, '/register': Register, '/invitation': Invitation, '/password-reset': PasswordReset }

// The pages of a place: what follows its base, the page, and for the menu a label and the
// least role.
const own = [
  { path: '/profile', page: Profile, label: 'Profile' },
  { path: '/sessions', page: Sessions, label: 'Sessions' },
]
const core = [
  { path: '/organizations', page: Organizations, label: 'Organizations' },
  { path: '/organizations/new', page: NewOrganization },
  { path: '/organizations/:slug', page: Organization },
  { path: '/organizations/:slug/restore/:backup', page: Restoration },
  { path: '/operations/:id', page: Operation },
  ...own,
  { path: '/audit', page: Audit, label: 'Audit' },
]
const inside = [
  ...own,
  { path: '/users', page: Users, label: 'Users', role: 'admin' },
  { path: '/users/new', page: NewUser, role: 'admin' },
  { path: '/users/:id', page: User, role: 'admin' },
  { path: '/invitations', page: Invitations, label: 'Invitations', role: 'admin' },
  { path: '/audit', page: Audit, label: 'Audit', role: 'admin' },
  { path: '/settings', page: Settings, label: 'Settings', role: 'owner' },
]
const ranks = ['member', 'admin', 'owner']

function may(role, least) {
  return !least || ranks.indexOf(role) >= ranks.indexOf(least)
}

// match returns the page at a path and its parameters.
function match(pages, path) {
  for (const entry of pages) {
    const found = path.match(new RegExp(`^${entry.path.replace(/:(\w+)/g, '(?<$1>[\\w.-]+)')}$`))
    if (found) return { ...entry, parameters: { ...found.groups } }
  }
  return { page: NotFound, parameters: {} }
}

// placeOf returns the place that a path is in, '' for the core, or undefined.
function placeOf(path) {
  if (/^\/core(\/|$)/.test(path)) return ''
  return path.match(/^\/in\/([a-z0-9-]+)(\/|$)/)?.[1]
}

function Console() {
  const places = useSessions()
  const { path, query } = useRoute()
  const place = placeOf(path)
  useEffect(() => {
    if (path === '/') leave(places.length > 0 ? home(places[0]) : '/sign-in', path)
  }, [path])
  useEffect(() => { if (!wasLed()) say('') }, [path])
  if (path === '/') return html`<${Waiting} />`
  if (place === undefined) return html`<${Alone} key=${path}><${open[path] ?? NotFound} query=${query} /><//>`
  return html`<${Place} key=${place} place=${place} path=${path} places=${places} />`
}

function Alone({ children }) {
  const places = list()
  return html`
    <header class="top"><${Brand} /></header>
    <main class="alone"><${Said} />${children}
      ${places.length > 0 && html`<p>You are signed in already: ${places.map((place) => html`<a class="place" href="#${home(place)}">${place || 'your organizations'}</a> `)}</p>`}
    </main>`
}

function Brand() {
  return html`<a class="brand" href="#/"><span aria-hidden="true" class="mark"></span>Console</a>`
}

// Place shows a page of a place to its user. When the session ends the user signs in again
// on the same page.
function Place({ place, path, places }) {
  const email = useRef(null)
  const session = find(place)
  if (session) email.current = session.email
  if (!session) {
    return html`<${Alone}><${SignIn} query=${new URLSearchParams()} again=${{
      place, email: email.current ?? '',
      reason: email.current ? 'You are signed out. Sign in to go on where you were.' : 'Please sign in to see this page.',
    }} /><//>`
  }
  return html`<${Framed} place=${place} path=${path} places=${places} session=${session} />`
}

function Framed({ place, path, places, session }) {
  const me = useLoad(() => get(place, '/api/users/me'), [place])
  const role = place === '' ? undefined : me.data?.role
  const pages = place === '' ? core : inside
  const menu = pages.filter((entry) => entry.label && (place === '' || may(role, entry.role)))
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <${Brand} />
      <${Places} place=${place} places=${places} />
      <${Leave} place=${place} session=${session} />
    </header>
    <div class="frame">
      <nav aria-label="Main"><ul>${menu.map((entry) => html`<li><${Item} href=${addressOf(place, entry.path)} path=${path} label=${entry.label} /></li>`)}</ul></nav>
      <main id="content" tabindex="-1"><${Said} /><${Content} place=${place} path=${path} me=${me} pages=${pages} /></main>
    </div>`
}

// addressOf is where a page of the menu is. An owner who has entered from the core has the
// settings there.
function addressOf(place, path) {
  return path === '/settings' && find(place)?.entered ? `/core/organizations/${place}` : base(place) + path
}

function skip(event) {
  event.preventDefault() // the fragment is the address of the page
  document.querySelector('main').focus()
}

function Item({ href, path, label }) {
  const here = path === href || path.startsWith(`${href}/`)
  return html`<a href="#${href}" aria-current=${path === href ? 'page' : here ? 'true' : undefined}>${label}</a>`
}

function Content({ place, path, me, pages }) {
  const { page, role, parameters } = match(pages, path.slice(base(place).length))
  const isShut = me.problem?.code === 'tenant_suspended' && page !== Settings
  if (me.problem && (isShut || me.problem.code !== 'tenant_suspended')) {
    return html`<${Page} title=${isShut ? 'Suspended' : 'Something went wrong'}>
      <${Failure} problem=${me.problem} retry=${me.reload} />
      ${isShut && html`<p>Are you an owner? Look whether you can <a href="#${addressOf(place, '/settings')}">resume it in its settings</a>.</p>`}<//>`
  }
  if (!me.data && !me.problem) return html`<${Waiting} />`
  if (place !== '' && me.data && !may(me.data.role, role)) {
    return html`<${Page} title="Not allowed" lead="This page is for ${role === 'owner' ? 'owners' : 'owners and admins'} of the organization.">
      <p>You are ${me.data.role === 'admin' ? 'an' : 'a'} ${me.data.role}. Ask an owner if you need more rights.</p><//>`
  }
  return html`<${page} key=${path} place=${place} me=${me.data} ...${parameters} />`
}

// Places leads to the other sessions of this browser.
function Places({ place, places }) {
  const [chosen, choose] = useState(place)
  const change = (event) => {
    choose(event.target.value)
    go(event.target.value === '+' ? '/sign-in' : home(event.target.value))
  }
  return html`<label class="places"><span class="hidden">Where you are</span>
    <select value=${chosen} onChange=${change}>
      ${places.map((other) => html`<option value=${other} selected=${other === chosen}>${other || 'Your organizations'}</option>`)}
      <option value="+">Sign in elsewhere…</option>
    </select></label>`
}

function Leave({ place, session }) {
  const end = async () => {
    await signOut(place)
    go(list().length > 0 ? home(list()[0]) : '/sign-in')
    say('You are signed out.')
  }
  return html`<div class="leave"><span class="who">${session.email}</span><${Action} run=${end} kind="plain">Sign out<//></div>`
}

const root = document.getElementById('console')
root.replaceChildren()
render(html`<${Console} />`, root)
