// Pages for callers without a session: sign in, register, accept an invitation, new password.
import { useEffect, useRef } from '../../lib/hooks/index.js'
import { send } from '../api.js'
import { forgetQuery, go, home } from '../router.js'
import { signIn } from '../sessions.js'
import { Field, Form, html, Page, say } from '../ui.js'

export const passwordHint = 'At least 8 characters. The server may refuse common passwords.'

function place(values) {
  return values.tenant.trim()
}

// placed refuses what no slug can be, which a header could not even carry.
function placed(values) {
  return /^[a-z0-9-]*$/.test(place(values)) ? {} : { tenant: 'Use its short name: only the letters a to z in small, digits and hyphens.' }
}

// SignIn is also what a page shows while its user has no session there: again says where.
export function SignIn({ query, again }) {
  const tenant = again ? again.place : query.get('tenant')
  const submit = async (values) => {
    await signIn(place(values), values)
    if (!again || again.place !== place(values)) go(home(place(values)))
  }
  return html`<${Page} title="Sign in" lead=${again?.reason ?? 'Manage your organizations, or go to one you belong to.'}>
    <${Form} submit=${submit} label="Sign in" check=${placed} busyLabel="Signing in…">
      <${Field} name="email" label="E-mail address" type="email" required autocomplete="username" defaultValue=${again?.email} />
      <${Field} name="password" label="Password" type="password" required autocomplete="current-password" />
      <${Tenant} value=${tenant} hint="The short name of the organization to sign in to. Leave it empty to manage your own organizations." />
    <//>
    <p>No account yet? <a href="#/register">Register</a>. Invited? <a href="#/invitation">Accept an invitation</a>.</p>
    <p>Forgot your password? Ask an owner or admin of your organization, or the operator of this server, for a token.
      Then <a href="#/password-reset">choose a new password</a>.</p>
  <//>`
}

function Tenant({ value, hint, ...more }) {
  return html`<${Field} name="tenant" label="Organization" hint=${hint} defaultValue=${value ?? ''} autocapitalize="none"
    autocomplete="organization" spellcheck=${false} placeholder="acme" ...${more} />`
}

// register adds the user and signs in.
async function register(values, invitation) {
  const tenant = place(values)
  const { body: user } = await send('POST', '/api/auth/register', {
    tenant,
    body: { email: values.email, password: values.password, full_name: values.full_name || null, ...invitation },
  })
  await signIn(tenant, values)
  const isFirst = tenant !== '' && user.role === 'owner'
  say(isFirst ? `Welcome! You are the first user of ${tenant}, and so its owner.` : 'Welcome! You are registered and signed in.')
  go(home(tenant))
}

export function Register({ query }) {
  return html`<${Page} title="Register" lead="Create an account on this server.">
    <${Form} submit=${register} label="Register" check=${placed} busyLabel="Registering…">
      <${Field} name="email" label="E-mail address" type="email" required autocomplete="username" />
      <${Field} name="full_name" label="Full name" autocomplete="name" maxlength="200" />
      <${Field} name="password" label="Password" type="password" required autocomplete="new-password" hint=${passwordHint} />
      <${Tenant} value=${query.get('tenant')}
        hint="Leave it empty to create and manage organizations of your own. To join one, enter its short name. If none has that name, this server may create it with you as its owner." />
    <//>
    <p>Have an account? <a href="#/sign-in">Sign in</a>.</p>
  <//>`
}

// useQuery keeps the last query of the address and takes it out of there: it may hold a token.
function useQuery(query) {
  const kept = useRef(query)
  if (query.size > 0) kept.current = query
  useEffect(forgetQuery, [query])
  return kept.current
}

export function Invitation({ query }) {
  const link = useQuery(query)
  const submit = (values) => register(values, { invitation_token: values.invitation_token.trim() })
  return html`<${Page} title="Accept an invitation" lead="Register in the organization that invited you.">
    <${Form} key=${link} submit=${submit} label="Join" check=${placed} busyLabel="Joining…">
      <${Tenant} value=${link.get('tenant')} required hint="The short name of the organization." />
      <${Field} name="invitation_token" label="Invitation token" required defaultValue=${link.get('token') ?? ''} autocomplete="off"
        spellcheck=${false} hint="It begins with mti_ and is good once." />
      <${Field} name="email" label="E-mail address" type="email" required autocomplete="username" hint="The address that was invited." />
      <${Field} name="full_name" label="Full name" autocomplete="name" maxlength="200" />
      <${Field} name="password" label="Choose a password" type="password" required autocomplete="new-password" hint=${passwordHint} />
    <//>
    <p>Joined already? <a href="#/sign-in">Sign in</a>.</p>
  <//>`
}

export function PasswordReset({ query }) {
  const link = useQuery(query)
  const submit = async (values) => {
    await send('POST', '/api/auth/password-reset', { body: { token: values.token.trim(), new_password: values.new_password } })
    say('Your new password is set. Sign in with it.')
    go(`/sign-in${link.get('tenant') ? `?tenant=${encodeURIComponent(link.get('tenant'))}` : ''}`)
  }
  return html`<${Page} title="Choose a new password" lead="You need the token that an owner, an admin or the operator has given you.">
    <${Form} key=${link} submit=${submit} label="Set the password" busyLabel="Setting the password…">
      <${Field} name="token" label="Token" required defaultValue=${link.get('token') ?? ''} autocomplete="off" spellcheck=${false}
        hint="It begins with mtpw_ and is good once, for an hour." />
      <${Field} name="new_password" label="New password" type="password" required autocomplete="new-password" hint=${passwordHint} />
    <//>
    <p>Remembered it? <a href="#/sign-in">Sign in</a>.</p>
  <//>`
}

export function NotFound() {
  return html`<${Page} title="Page not found" lead="There is no such page in the console."><p><a href="#/">Go to the start</a></p><//>`
}
