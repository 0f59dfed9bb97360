// Steps at the core: an account and its organizations.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { slugFault } from '../../console/app/slug.js'
import {
  acme, ada, base, button, confirm, errorAt, failure, fill, heading, look, openTab, password, problems, run, said, section,
  tokenOf, visit,
} from './page.mjs'

export async function registerAtCore(page) {
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

export async function createOrganization(page) {
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

// slugRules compares the rules of the page with those of the server.
export async function slugRules() {
  const headers = { Authorization: `Bearer ${await tokenOf(ada)}`, 'Content-Type': 'application/json' }
  const answer = async (slug) => {
    const body = JSON.stringify({ name: 'Acme', slug })
    const made = await fetch(`${base}/api/organizations/`, { method: 'POST', headers, body })
    if (made.ok) await fetch(`${base}/api/organizations/${slug}`, { method: 'DELETE', headers })
    return made.ok ? '' : (await made.json()).code
  }
  const good = ['zz', `z-${run}`, '0--9', 'z'.repeat(40)]
  const bad = ['z', 'z'.repeat(41), 'Zz', 'zé', '-zz', 'zz-', 'z_z', 'z z', 'xn--zz', 'zzxn--z', 'z\u0000']
  for (const slug of [...good, ...bad]) {
    assert.equal(slugFault(slug) === '', good.includes(slug), slug)
    assert.match(await answer(slug), good.includes(slug) ? /^$/ : /^(invalid_slug|validation_failed)$/, slug)
  }
  await fetch(`${base}/api/auth/logout`, { method: 'POST', headers }) // its session would be counted below
}

export async function manageOrganization(page) {
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
  await saveStale(page)
}

// saveStale saves one field of a page that shows others as they no longer are.
async function saveStale(page) {
  const headers = { Authorization: `Bearer ${await tokenOf(ada)}`, 'Content-Type': 'application/json' }
  await heading(page, 'Acme')
  await fetch(`${base}/api/organizations/${acme}`, { method: 'PUT', headers, body: '{"registration": "invite"}' })
  await fill(page, { description: 'Makers of everything else' })
  await button(page, 'Save').click()
  await said(page, 'The settings are saved.')
  await page.waitForFunction(() => document.querySelector('[name="registration"]').value === 'invite')
  await fill(page, { registration: 'open' })
  await button(page, 'Save').click()
  await said(page, 'The settings are saved.')
  await fetch(`${base}/api/auth/logout`, { method: 'POST', headers })
}

// renameInside renames an organization that its owner has entered: the session goes along.
export async function renameInside(page) {
  for (const [from, to] of [[acme, `${acme}-y`], [`${acme}-y`, acme]]) {
    await visit(page, `/core/organizations/${from}`)
    await page.locator('[name="slug"]').waitFor()
    await fill(page, { slug: to })
    await button(page, 'Save').click()
    await page.waitForURL(new RegExp(`organizations/${to}$`))
    assert.deepEqual(await page.locator('.places option').allInnerTexts(), ['Your organizations', to, 'Sign in elsewhere…'])
    await visit(page, `/in/${to}/profile`)
    await heading(page, 'Profile')
  }
}

export async function backUp(page) {
  const backups = page.locator('section', { hasText: /^Backups/ })
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
  await takeExport(page)
  await page.getByRole('link', { name: 'Restore…' }).first().click()
  await heading(page, 'Restore a backup')
  await fill(page, { as: 'No' })
  await button(page, 'Restore').click()
  await errorAt(page, 'as', 'small letters')
  await look(page, 'restore')
  await fill(page, { as: `${acme}-2` })
  await button(page, 'Restore').click()
  await page.locator('.tag', { hasText: 'done' }).waitFor()
  await visit(page, `/core/organizations/${acme}-2`)
  await heading(page, 'Acme')
  const dialog = await confirm(page, button(page, 'Delete the organization'), 'Delete for ever')
  await fill(page, { typed: `${acme}-2` })
  await dialog.getByRole('button', { name: 'Delete for ever' }).click()
  await dialog.waitFor({ state: 'detached' })
  await visit(page, `/core/organizations/${acme}`)
}

// takeExport downloads an export, which is a ZIP, and is told that there is no second time.
async function takeExport(page) {
  await button(page, 'Make an export').click()
  await section(page, 'Export').locator('.tag', { hasText: 'done' }).waitFor()
  await look(page, 'export')
  const coming = page.waitForEvent('download')
  await button(page, 'Download').click()
  const file = await coming
  assert.equal(file.suggestedFilename(), `${acme}.zip`)
  assert.equal((await readFile(await file.path())).subarray(0, 2).toString(), 'PK')
  await said(page, 'cannot be downloaded again')
  await button(page, 'Download').waitFor({ state: 'detached' })
}

export async function changePassword(page) {
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

export async function deleteOrganization(page) {
  await visit(page, `/core/organizations/${acme}`)
  const dialog = await confirm(page, button(page, 'Delete the organization'), 'Delete for ever', 'organization-delete')
  await errorAt(page, 'typed', 'fill this in')
  await fill(page, { typed: acme })
  await dialog.getByRole('button', { name: 'Delete for ever' }).click()
  await heading(page, 'Organizations')
  await page.getByText('No organization yet').waitFor()
}

export async function signOut(page) {
  const other = await openTab(page.context())
  await heading(other, 'Organizations')
  await button(page, 'Sign out').click()
  await heading(page, 'Sign in')
  await heading(other, 'Sign in')
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), [])
  problems.push(...page.problems.splice(0))
}

// byKeyboard signs in, skips to the content, opens a dialog and leaves it, without a mouse.
export async function byKeyboard(page) {
  await heading(page, 'Sign in')
  await page.locator('[name="email"]').focus()
  await page.keyboard.type(ada.email)
  await page.keyboard.press('Tab')
  await page.keyboard.type(password)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.type('Łódź')
  await page.keyboard.press('Enter')
  await errorAt(page, 'tenant', 'short name')
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.press('Delete')
  await page.keyboard.press('Enter')
  await heading(page, 'Organizations')
  await page.waitForFunction(() => document.activeElement?.tagName === 'H1')
  await page.reload()
  await page.getByRole('link', { name: 'Acme' }).waitFor()
  await page.locator('body').press('Tab')
  await page.getByText('Skip to the content').focus()
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.activeElement?.tagName === 'MAIN')
  await visit(page, `/core/organizations/${acme}`)
  await button(page, 'Suspend').focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.waitForFunction(() => document.activeElement?.textContent === 'Suspend')
  await page.close()
}
