// Steps inside an organization, by its owner, its members and users who join.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import {
  acme, ada, api, button, confirm, errorAt, failure, fill, grace, hank, heading, look, newPage, password, run,
  said, tokenOf, visit,
} from './page.mjs'

export async function enterAndProfile(page) {
  await visit(page, '/core/organizations')
  await page.getByRole('button', { name: 'Enter Acme' }).waitFor()
  await look(page, 'organizations')
  await page.getByRole('button', { name: 'Enter Acme' }).click()
  await heading(page, 'Profile')
  await fill(page, { full_name: 'Ada Lovelace', phone: '+44 20 7946 0000', bio: 'Countess' })
  await button(page, 'Save').click()
  await said(page, 'Your profile is saved.')
  const [file] = await Promise.all([page.waitForEvent('download'), button(page, 'Download').click()])
  const own = JSON.parse(await readFile(await file.path(), 'utf8'))
  assert.deepEqual([own.tenant, own.profile.bio], [acme, 'Countess'])
  await look(page, 'profile')
  await page.reload()
  await page.locator('[name="bio"]').waitFor()
  assert.equal(await page.locator('[name="bio"]').inputValue(), 'Countess')
}

export async function manageUsers(page) {
  await page.getByRole('link', { name: 'Users' }).click()
  await page.getByRole('link', { name: 'New user' }).click()
  await fill(page, { email: ada.email, password, role: 'admin' })
  await button(page, 'Create').click()
  await errorAt(page, 'email', 'already')
  await fill(page, { ...grace, full_name: 'Grace Hopper' })
  await look(page, 'user-new')
  await button(page, 'Create').click()
  await heading(page, grace.email)
  await look(page, 'user')
  await fill(page, { role: 'member', bio: 'Wrote a compiler' })
  await button(page, 'Save').click()
  await said(page, 'is saved')
  await confirm(page, button(page, 'Deactivate'), 'Deactivate')
  await said(page, 'is kept out')
  await button(page, 'Activate').click()
  await said(page, 'can sign in again')
  await page.getByRole('link', { name: 'All users' }).click()
  await page.getByRole('cell', { name: grace.email }).waitFor()
  await look(page, 'users')
  await fill(page, { q: 'nobody-here' })
  await button(page, 'Search').click()
  await page.getByText('Nobody has “nobody-here”').waitFor()
  await fill(page, { q: 'grace' })
  await button(page, 'Search').click()
  await page.getByRole('link', { name: grace.email }).click()
  await confirm(page, button(page, 'Remove'), 'Remove')
  await said(page, 'is removed')
  await heading(page, 'Users')
}

export async function inviteAndAccept(owner, invited) {
  await owner.getByRole('navigation').getByRole('link', { name: 'Invitations' }).click()
  await owner.getByText('No invitation is open').waitFor()
  await fill(owner, { email: hank.email, role: 'member' })
  await button(owner, 'Invite').click()
  await owner.getByRole('cell', { name: hank.email, exact: true }).waitFor()
  await look(owner, 'invitations')
  const made = owner.locator('.made')
  await made.getByRole('button', { name: 'Copy' }).first().click()
  await said(owner, 'Copied.')
  const link = await owner.evaluate(() => navigator.clipboard.readText())
  assert.match(link, /console#\/invitation\?tenant=.*&token=mti_/)
  await invited.goto(link)
  await heading(invited, 'Accept an invitation')
  await invited.waitForFunction(() => !location.hash.includes('token'))
  await look(invited, 'invitation')
  await fill(invited, { ...hank, email: 'wrong@example.com' })
  await button(invited, 'Join').click()
  await failure(invited, 'Ask for a new one')
  await fill(invited, hank)
  await button(invited, 'Join').click()
  await heading(invited, 'Profile')
}

export async function memberSees(page) {
  assert.equal(await page.getByRole('navigation').getByRole('link', { name: 'Users' }).count(), 0)
  await visit(page, `/in/${acme}/users`)
  await heading(page, 'Not allowed')
  await look(page, 'not-allowed')
  await visit(page, `/in/${acme}/nothing`)
  await heading(page, 'Page not found')
  await visit(page, `/core/organizations`)
  await heading(page, 'Sign in')
  await visit(page, `/in/${acme}/profile`)
  await heading(page, 'Profile')
}

export async function withdraw(page) {
  await fill(page, { email: grace.email, role: 'owner' })
  await button(page, 'Invite').click()
  await page.getByRole('button', { name: `Withdraw the invitation of ${grace.email}` }).click()
  await said(page, 'is withdrawn')
  await page.getByText('No invitation is open').waitFor()
  assert.equal(await page.locator('.made').count(), 0)
}

export async function resetPassword(owner) {
  await visit(owner, `/in/${acme}/users`)
  await owner.getByRole('link', { name: hank.email }).click()
  await button(owner, 'Make a token').click()
  const link = await owner.getByLabel('Or a link with it').inputValue()
  await look(owner, 'reset-token')
  const user = await newPage()
  await user.goto(link)
  await heading(user, 'Choose a new password')
  await fill(user, { new_password: 'short' })
  await button(user, 'Set the password').click()
  await errorAt(user, 'new_password', 'at least 8')
  await look(user, 'password-reset')
  hank.password = `${password}-2`
  await fill(user, { new_password: hank.password })
  await button(user, 'Set the password').click()
  await heading(user, 'Sign in')
  assert.equal(await user.locator('[name="tenant"]').inputValue(), acme)
  await user.goto('about:blank')
  await user.goto(link)
  await fill(user, { new_password: hank.password })
  await button(user, 'Set the password').click()
  await errorAt(user, 'token', 'nvalid')
  await user.goto(link.replace(/mtpw_.*/, 'mtpw_another'))
  await user.waitForFunction(() => document.querySelector('[name="token"]').value === 'mtpw_another' && !location.hash.includes('token'))
  await user.close()
}

export async function audit(page) {
  await page.getByRole('link', { name: 'Audit' }).click()
  await page.getByRole('cell', { name: 'Password reset issued' }).first().waitFor()
  await look(page, 'audit')
  await page.getByLabel('Show').selectOption('invitation.withdrawn')
  await page.getByRole('cell', { name: 'Invitation withdrawn' }).waitFor()
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1)
  await page.getByLabel('Show').selectOption('fleet.restored')
  await page.getByText('Nothing of this kind').waitFor()
}

export async function ownTenant(page) {
  const slug = `globex-${run}`
  await visit(page, '/register')
  await fill(page, { ...grace, tenant: slug })
  await button(page, 'Register').click()
  await heading(page, 'Profile')
  await said(page, `first user of ${slug}`)
  await page.getByRole('link', { name: 'Settings' }).click()
  await fill(page, { registration: 'invite' })
  await button(page, 'Save').click()
  await said(page, 'The settings are saved.')
  await look(page, 'settings')
  await confirm(page, button(page, 'Suspend'), 'Suspend')
  await said(page, 'is suspended')
  await page.getByRole('link', { name: 'Profile' }).click()
  await failure(page, 'Tenant is suspended')
  await visit(page, `/in/${slug}/settings`)
  await button(page, 'Resume').click()
  await said(page, 'works again')
  await button(page, 'Delete the organization').click()
  await fill(page, { typed: slug })
  await button(page, 'Delete for ever').click()
  await heading(page, 'Sign in')
  await page.close()
}

// adminSees the limits of an admin, and the end of those rights with a demotion.
export async function adminSees(owner, admin) {
  const token = await tokenOf(ada, acme)
  const { items } = await api('GET', `/api/users/?q=${run}`, undefined, token)
  const { id } = items.find((user) => user.email === hank.email)
  await api('PUT', `/api/users/${id}`, { role: 'admin' }, token)
  await admin.reload()
  await admin.getByRole('navigation').getByRole('link', { name: 'Users' }).click()
  assert.equal(await admin.getByRole('link', { name: 'Settings' }).count(), 0)
  await admin.getByRole('link', { name: ada.email }).click()
  await button(admin, 'Make a token').click()
  await failure(admin, 'has a password at the core')
  await admin.getByRole('link', { name: 'Invitations' }).click()
  assert.deepEqual(await admin.locator('[name="role"] option').evaluateAll((found) => found.map((option) => option.value)), ['member', 'admin'])
  await api('PUT', `/api/users/${id}`, { role: 'member' }, token)
  await fill(admin, { email: `x-${run}@example.com` })
  await button(admin, 'Invite').click()
  await failure(admin, 'Ask an owner or admin')
  await visit(admin, `/in/${acme}/profile`)
}

// pages shows a list that is longer than a page.
export async function pages(owner) {
  const token = await tokenOf(ada, acme)
  for (let i = 0; i < 27; i++) await api('POST', '/api/invitations/', { email: `guest-${i}-${run}@example.com` }, token)
  await visit(owner, `/in/${acme}/invitations`)
  await button(owner, 'Show more').click()
  await owner.getByRole('cell', { name: `guest-0-${run}@example.com`, exact: true }).waitFor()
  assert.equal(await owner.getByRole('row').count(), 28)
  assert.equal(await button(owner, 'Show more').count(), 0)
}
