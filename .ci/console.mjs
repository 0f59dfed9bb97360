// Uses the console as its users would: each flow, each role, and what goes wrong. Every page
// is looked at on a narrow and on a wide screen, light and dark, and axe must find nothing.
// Usage: node .ci/console.mjs BASE_URL; SCREENSHOTS is a folder for the pictures, if any.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { axe, launch, watch } from './browser.mjs'

const [base] = process.argv.slice(2)
const pictures = process.env.SCREENSHOTS
const run = randomBytes(4).toString('hex')
const password = `pass-${randomBytes(8).toString('hex')}`
const acme = `acme-${run}`
const ada = { email: `ada-${run}@example.com`, password }
const grace = { email: `grace-${run}@example.com`, password }
const hank = { email: `hank-${run}@example.com`, password }

const problems = []

async function step(name, act) {
  console.log(`- ${name}`)
  await act()
}

async function newPage() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'] })
  return openTab(context)
}

async function openTab(context) {
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  page.problems = watch(page, base, (message) => message.location().url.startsWith(`${base}/api/`))
  page.on('close', () => problems.push(...page.problems))
  await page.goto(`${base}/console`)
  return page
}

async function pictureOfAll() {
  if (!pictures) return
  const pages = browser.contexts().flatMap((context) => context.pages())
  for (const [i, page] of pages.entries()) await page.screenshot({ path: `${pictures}/failed-${i}.png`, fullPage: true })
}

// look checks a page on both screens in both colours, and takes a picture of each.
async function look(page, name) {
  for (const [width, height] of [[390, 844], [1440, 900]]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
      assert.ok(over <= 0, `${name} is ${over} pixels too wide at ${width}`)
      if (pictures) await page.screenshot({ path: `${pictures}/${name}-${width}-${colorScheme}.png`, fullPage: true })
      assert.deepEqual(await violations(page), [], `${name} at ${width}, ${colorScheme}`)
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  problems.push(...page.problems.splice(0))
}

async function violations(page) {
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(axe())
  const { violations: found } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)
}

const button = (page, name) => page.getByRole('button', { name, exact: true })
const field = (page, label) => page.getByLabel(label, { exact: false }).first()
const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor()
const said = (page, text) => page.locator('.said', { hasText: text }).waitFor()
const failure = (page, text) => page.getByRole('alert').filter({ hasText: text }).waitFor()
const section = (page, title) => page.locator('section').filter({ has: page.getByRole('heading', { level: 2, name: title }) })

async function fill(page, values) {
  for (const [name, value] of Object.entries(values)) {
    const input = page.locator(`[name="${name}"]`).first()
    if (await input.evaluate((element) => element.tagName) === 'SELECT') await input.selectOption(value)
    else await input.fill(value)
  }
}

async function visit(page, path) {
  await page.goto(`${base}/console#${path}`)
}

async function errorAt(page, name, text) {
  await page.locator(`#${name}-error`, { hasText: text }).waitFor()
  assert.equal(await page.locator(`[name="${name}"]`).getAttribute('aria-invalid'), 'true')
  await page.waitForFunction((id) => document.activeElement?.id === id, name)
}

// confirm answers the dialog, after a look at it.
async function confirm(page, opener, answer, name) {
  await opener.click()
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  if (name) await look(page, name)
  await dialog.getByRole('button', { name: answer, exact: true }).click()
  return dialog
}

async function registerAtCore(page) {
  await heading(page, 'Sign in')
  await look(page, 'sign-in')
  await button(page, 'Sign in').click()
  await errorAt(page, 'email', 'Please fill this in.')
  await fill(page, ada)
  await button(page, 'Sign in').click()
  await failure(page, 'Incorrect email or password')
  await page.getByRole('link', { name: 'Register' }).click()
  await heading(page, 'Register')
  await page.waitForFunction(() => document.activeElement?.tagName === 'H1')
  await fill(page, { email: ada.email, password: 'short' })
  await button(page, 'Register').click()
  await errorAt(page, 'password', 'at least 8 characters')
  await look(page, 'register')
  await fill(page, { ...ada, full_name: 'Ada Lovelace' })
  await button(page, 'Register').click()
  await heading(page, 'Organizations')
  assert.equal(await page.title(), 'Organizations – Console')
}

async function createOrganization(page) {
  await page.getByText('No organization yet').waitFor()
  await look(page, 'organizations-empty')
  await page.getByRole('link', { name: 'Create an organization' }).click()
  await fill(page, { name: 'Müller & Söhne' })
  assert.equal(await page.locator('[name="slug"]').inputValue(), 'muller-sohne')
  await fill(page, { slug: 'No' })
  await page.locator('#slug-error', { hasText: 'small letters' }).waitFor()
  await fill(page, { name: 'Acme Inc.', slug: 'admin' })
  await button(page, 'Create').click()
  await errorAt(page, 'slug', 'reserved')
  await look(page, 'organization-new')
  await fill(page, { slug: acme, description: 'Makers of everything' })
  await button(page, 'Create').click()
  await heading(page, 'Acme Inc.')
  await said(page, 'is ready')
}

async function manageOrganization(page) {
  await look(page, 'organization')
  await confirm(page, button(page, 'Suspend'), 'Suspend', 'organization-suspend')
  await said(page, 'is suspended')
  await button(page, 'Resume').click()
  await said(page, 'works again')
  await fill(page, { name: 'Acme', slug: `${acme}-x`, registration: 'closed' })
  await button(page, 'Save').click()
  await said(page, 'still leads here')
  await page.waitForURL(new RegExp(`${acme}-x$`))
  await heading(page, 'Acme')
  assert.equal(await page.locator('[name="registration"]').inputValue(), 'closed')
  await fill(page, { slug: acme, registration: 'open' })
  await button(page, 'Save').click()
  await page.waitForURL(new RegExp(`${acme}$`))
}

async function backUp(page) {
  const backups = section(page, 'Backups')
  const off = backups.getByText('Ask its operator to turn them on')
  await off.or(button(backups, 'Make a backup')).first().waitFor()
  await page.waitForFunction(() => document.querySelectorAll('section .waiting').length === 0)
  if (await off.isVisible()) {
    return look(page, 'backups-off')
  }
  await backups.getByText('There is no backup yet').waitFor()
  await button(backups, 'Make a backup').click()
  await page.locator('.tag', { hasText: 'done' }).waitFor()
  await look(page, 'operation')
  await page.getByRole('link', { name: acme }).click()
  await section(page, 'Backups').getByRole('row').nth(1).waitFor()
  await look(page, 'backups')
}

async function enterAndProfile(page) {
  await visit(page, '/core/organizations')
  await page.getByRole('button', { name: 'Enter Acme' }).waitFor()
  await look(page, 'organizations')
  await page.getByRole('button', { name: 'Enter Acme' }).click()
  await heading(page, 'Profile')
  await fill(page, { full_name: 'Ada Lovelace', phone: '+44 20 7946 0000', bio: 'Countess' })
  await button(page, 'Save').click()
  await said(page, 'Your profile is saved.')
  await look(page, 'profile')
  await page.reload()
  await page.locator('[name="bio"]').waitFor()
  assert.equal(await page.locator('[name="bio"]').inputValue(), 'Countess')
}

async function manageUsers(page) {
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

async function inviteAndAccept(owner, invited) {
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

async function memberSees(page) {
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

async function withdraw(page) {
  await fill(page, { email: grace.email, role: 'owner' })
  await button(page, 'Invite').click()
  await page.getByRole('button', { name: `Withdraw the invitation of ${grace.email}` }).click()
  await said(page, 'is withdrawn')
  await page.getByText('No invitation is open').waitFor()
  assert.equal(await page.locator('.made').count(), 0)
}

async function resetPassword(owner) {
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
  await user.close()
}

async function audit(page) {
  await page.getByRole('link', { name: 'Audit' }).click()
  await page.getByRole('cell', { name: 'Password reset issued' }).first().waitFor()
  await look(page, 'audit')
  await page.getByLabel('Show').selectOption('invitation.withdrawn')
  await page.getByRole('cell', { name: 'Invitation withdrawn' }).waitFor()
  assert.equal(await page.getByRole('row').count(), 2)
  await page.getByLabel('Show').selectOption('fleet.restored')
  await page.getByText('Nothing of this kind').waitFor()
}

async function signInHere(page, user) {
  await page.locator('[name="password"]').waitFor()
  await fill(page, user)
  await button(page, 'Sign in').click()
}

// loseConnection begins where the member is signed out, because the password was reset.
async function loseConnection(page) {
  await page.getByRole('link', { name: 'Sessions' }).click()
  await page.getByText('You are signed out').waitFor()
  await look(page, 'signed-out')
  await signInHere(page, hank)
  await heading(page, 'Sessions')
  await page.getByText('this one').waitFor()
  await look(page, 'sessions')
  await page.context().setOffline(true)
  await page.getByRole('link', { name: 'Profile' }).click()
  await failure(page, 'The server cannot be reached')
  await look(page, 'offline')
  await page.context().setOffline(false)
  await button(page, 'Try again').click()
  await page.locator('[name="bio"]').waitFor()
}

async function suspendMeanwhile(owner, member) {
  await visit(owner, `/core/organizations/${acme}`)
  await confirm(owner, button(owner, 'Suspend'), 'Suspend')
  await said(owner, 'is suspended')
  await fill(member, { bio: 'Too late' })
  await button(member, 'Save').click()
  await failure(member, 'Tenant is suspended')
  await member.reload()
  await heading(member, 'Suspended')
  await look(member, 'suspended')
  await button(owner, 'Resume').click()
  await said(owner, 'works again')
  await member.waitForFunction(async () => {
    [...document.querySelectorAll('button')].find((found) => found.textContent === 'Try again')?.click()
    return document.querySelector('[name="bio"]')
  }, undefined, { polling: 200 })
}

const refreshes = (page, act) => {
  let count = 0
  page.on('request', (request) => { count += request.url().endsWith('/api/auth/refresh') ? 1 : 0 })
  return async () => { await act(); return count }
}

async function refreshOnce(page) {
  await page.route('**/api/auth/sessions*', (route) => route.fulfill({
    status: 401, contentType: 'application/problem+json', body: '{"code":"invalid_token","detail":"Could not validate credentials"}',
  }), { times: 1 })
  const count = await refreshes(page, async () => {
    await page.getByRole('link', { name: 'Sessions' }).click()
    await page.getByText('this one').waitFor()
  })()
  assert.equal(count, 1, 'refreshed once')
}

// twoTabs loads three tabs of one session at once, which have no access token then.
async function twoTabs(page) {
  const tabs = [page, await openTab(page.context()), await openTab(page.context())]
  await Promise.all(tabs.map((tab) => visit(tab, '/core/sessions')))
  for (let round = 0; round < 3; round++) {
    await Promise.all(tabs.map((tab) => tab.reload()))
    await Promise.all(tabs.map((tab) => tab.getByText('this one').waitFor()))
  }
  for (const tab of tabs.slice(1)) await tab.close()
}

async function sessionEnds(page) {
  await api('POST', '/api/auth/logout?scope=all', undefined, await tokenOf(ada))
  await page.getByRole('link', { name: 'Audit' }).click()
  await page.getByText('You are signed out').waitFor()
  assert.equal(await page.locator('[name="email"]').inputValue(), ada.email)
  await signInHere(page, { password: 'not this one' })
  await failure(page, 'Incorrect email or password')
  await signInHere(page, { password })
  await heading(page, 'Audit')
}

async function api(method, path, body, token) {
  const answer = await fetch(base + path, {
    method, body: body && JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', ...token && { Authorization: `Bearer ${token}` } },
  })
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`)
  return answer.status === 204 ? null : answer.json()
}

async function tokenOf(user) {
  return (await api('POST', '/api/auth/login', user)).access_token
}

async function changePassword(page) {
  await page.getByRole('link', { name: 'Profile' }).click()
  await fill(page, { current_password: 'not this one', new_password: `${password}-3` })
  await button(page, 'Change the password').click()
  await errorAt(page, 'current_password', 'ncorrect')
  await look(page, 'profile-core')
  await fill(page, { current_password: password, new_password: `${password}-3` })
  await button(page, 'Change the password').click()
  await said(page, 'Your password is changed')
  await page.reload()
  await page.locator('[name="full_name"]').waitFor()
}

async function ownTenant(page) {
  const slug = `globex-${run}`
  await visit(page, '/register')
  await fill(page, { ...grace, tenant: slug })
  await button(page, 'Register').click()
  await heading(page, 'Profile')
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

async function deleteOrganization(page) {
  await visit(page, `/core/organizations/${acme}`)
  const dialog = await confirm(page, button(page, 'Delete the organization'), 'Delete for ever', 'organization-delete')
  await errorAt(page, 'typed', 'fill this in')
  await fill(page, { typed: 'Acme' })
  await dialog.getByRole('button', { name: 'Delete for ever' }).click()
  await heading(page, 'Organizations')
  await page.getByText('No organization yet').waitFor()
}

async function signOut(page) {
  const other = await openTab(page.context())
  await heading(other, 'Organizations')
  await button(page, 'Sign out').click()
  await heading(page, 'Sign in')
  await heading(other, 'Sign in')
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), [])
  problems.push(...page.problems.splice(0))
}

const browser = await launch()
let failed = true
try {
  const core = await newPage()
  await step('register at the core', () => registerAtCore(core))
  await step('create an organization', () => createOrganization(core))
  await step('settings, suspend, resume, rename', () => manageOrganization(core))
  await step('backups', () => backUp(core))
  await step('enter without a password, profile', () => enterAndProfile(core))
  await step('users', () => manageUsers(core))
  const member = await newPage()
  await step('invitation', () => inviteAndAccept(core, member))
  await step('a member, and pages of others', () => memberSees(member))
  await step('withdraw an invitation', () => withdraw(core))
  await step('a forgotten password', () => resetPassword(core))
  await step('audit', () => audit(core))
  await step('a lost connection', () => loseConnection(member))
  await step('a suspended organization', () => suspendMeanwhile(core, member))
  await step('an access token that is refused', () => refreshOnce(core))
  await step('two tabs refresh at once', () => twoTabs(core))
  await step('a session that was ended elsewhere', () => sessionEnds(core))
  await step('a new password', () => changePassword(core))
  await step('a tenant without an organization', async () => ownTenant(await newPage()))
  await step('delete by typing the name', () => deleteOrganization(core))
  await step('sign out in all tabs', () => signOut(core))
  assert.deepEqual(problems, [], 'the pages are not as quiet as they should be')
  failed = false
} finally {
  if (failed) await pictureOfAll()
  for (const problem of problems) console.error(problem)
  await browser.close()
}
