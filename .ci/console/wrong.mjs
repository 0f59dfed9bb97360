// Steps in which something goes wrong.
import assert from 'node:assert/strict'
import {
  acme, ada, api, button, confirm, failure, fill, hank, heading, look, openTab, password, said, signInHere,
  tokenOf, visit,
} from './page.mjs'

// refreshes counts the refreshes while something is done.
async function refreshes(page, act) {
  let count = 0
  const listener = (request) => { count += request.url().endsWith('/api/auth/refresh') ? 1 : 0 }
  page.on('request', listener)
  await act()
  page.off('request', listener)
  return count
}

// loseConnection begins where the member is signed out, because the password was reset.
export async function loseConnection(page) {
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

export async function suspendMeanwhile(owner, member) {
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

// refused answers the next request for the sessions as if the access token had expired.
async function refused(page) {
  const count = await refreshes(page, async () => {
    await page.getByRole('link', { name: 'Profile' }).click()
    await heading(page, 'Profile')
    await page.route('**/api/auth/sessions*', (route) => route.fulfill(problem(401, 'invalid_token', 'Could not validate credentials')), { times: 1 })
    await page.getByRole('link', { name: 'Sessions' }).click()
    await page.getByText('this one').waitFor()
  })
  assert.equal(count, 1, 'refreshed once')
}

export async function refreshOnce(page) {
  await refused(page)
}

// twoTabs loads three tabs of one session at once, which have no access token then.
export async function twoTabs(page) {
  const tabs = [page, await openTab(page.context()), await openTab(page.context())]
  await Promise.all(tabs.map((tab) => visit(tab, '/core/sessions')))
  for (let round = 0; round < 3; round++) {
    await Promise.all(tabs.map((tab) => tab.reload()))
    await Promise.all(tabs.map((tab) => tab.getByText('this one').waitFor()))
  }
  // In the end the second tab's own token is the last but three, and would end the session.
  await refused(tabs[1])
  for (let round = 0; round < 3; round++) await refused(tabs[0])
  await refused(tabs[1])
  await refused(tabs[0])
  assert.equal(await page.getByRole('row').count(), 2, 'one session, and the heading')
  for (const tab of tabs.slice(1)) await tab.close()
}

const problem = (status, code, detail, headers = {}) => ({
  status, headers: { 'Content-Type': 'application/problem+json', ...headers }, body: JSON.stringify({ status, code, detail, request_id: 'request-1' }),
})

// answersGoWrong puts answers in the server's place that it seldom gives.
export async function answersGoWrong(page) {
  const list = '**/api/organizations/?*'
  await visit(page, '/core/profile')
  await page.route(list, (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad Gateway</h1>' }), { times: 1 })
  await page.getByRole('link', { name: 'Organizations' }).click()
  await failure(page, 'status 502')
  await page.route(list, (route) => route.fulfill(problem(503, 'core_unavailable', 'Service is unavailable')), { times: 1 })
  await button(page, 'Try again').click()
  await failure(page, 'request-1')
  let release
  const held = new Promise((resolve) => { release = resolve })
  await page.route(list, async (route) => { await held; await route.continue() }, { times: 1 })
  await button(page, 'Try again').click()
  await page.getByRole('progressbar').waitFor()
  release()
  await page.getByRole('cell', { name: acme, exact: true }).waitFor()

  await page.route(`**/api/organizations/${acme}/token`, (route) => route.fulfill(problem(429, 'too_many_requests', 'Too many requests', { 'Retry-After': '90' })), { times: 1 })
  await page.getByRole('button', { name: 'Enter Acme' }).or(page.getByRole('link', { name: 'Acme' })).first().waitFor()
  await page.getByRole('link', { name: 'New organization' }).click()
  await page.route('**/api/organizations/', (route) => route.fulfill(problem(429, 'too_many_organizations', 'Too many organizations', { 'Retry-After': '90' })), { times: 1 })
  await fill(page, { name: 'One more' })
  await button(page, 'Create').click()
  await failure(page, 'Try again in 90 seconds')
  await page.unroute(`**/api/organizations/${acme}/token`)
}

// deletionGoesOn is a deletion that is answered 202, with an operation and without.
export async function deletionGoesOn(page) {
  const operation = { id: 'op-1', kind: 'backup', status: 'failed', phase: 'copy', done: 1, total: 2, error: 'busy', organization: null, created_at: '2026-11-24T09:30:00Z', updated_at: '2026-11-24T09:31:00Z' }
  await page.route('**/api/operations/op-1', (route) => route.fulfill({ json: operation }))
  for (const headers of [{}, { Location: '/api/operations/op-1' }]) {
    await page.route(`**/api/organizations/${acme}`, (route) => route.request().method() === 'DELETE' ? route.fulfill({ status: 202, headers }) : route.continue())
    await visit(page, `/core/organizations/${acme}`)
    await button(page, 'Delete the organization').click()
    await fill(page, { typed: acme })
    await button(page, 'Delete for ever').click()
    await said(page, 'still removing its data')
    await heading(page, headers.Location ? 'Backup' : 'Organizations')
    await page.unroute(`**/api/organizations/${acme}`)
  }
  await page.getByText('It failed: Busy.').waitFor()
}

export async function sessionEnds(page) {
  await visit(page, '/core/organizations')
  await page.getByRole('button', { name: 'Enter Acme' }).click()
  await heading(page, 'Profile')
  await visit(page, '/core/profile')
  await page.locator('[name="bio"]').waitFor({ state: 'detached' }) // the page inside has it, and the same heading
  await page.locator('[name="full_name"]').waitFor()
  await api('POST', '/api/auth/logout?scope=all', undefined, await tokenOf(ada))
  await page.getByRole('link', { name: 'Audit' }).click()
  await page.getByText('You are signed out').waitFor()
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), [], 'what was entered from the core has ended too')
  assert.equal(await page.locator('[name="email"]').inputValue(), ada.email)
  await signInHere(page, { password: 'not this one' })
  await failure(page, 'Incorrect email or password')
  await signInHere(page, { password })
  await heading(page, 'Audit')
}
