// The browser, the users and the code that the steps share.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { axe, launch, watch } from '../browser.mjs'

export const [base] = process.argv.slice(2)
const pictures = process.env.SCREENSHOTS
export const run = randomBytes(4).toString('hex')
export const password = `pass-${randomBytes(8).toString('hex')}`
export const acme = `acme-${run}`
export const ada = { email: `ada-${run}@example.com`, password }
export const grace = { email: `grace-${run}@example.com`, password }
export const hank = { email: `hank-${run}@example.com`, password }
export const problems = []
export const browser = await launch()

export async function newPage() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'] })
  return openTab(context)
}

export async function openTab(context) {
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  page.problems = watch(page, base, (message) => message.location().url.startsWith(`${base}/api/`))
  page.on('close', () => problems.push(...page.problems))
  await page.goto(`${base}/console`)
  return page
}

export async function pictureOfAll() {
  if (!pictures) return
  const pages = browser.contexts().flatMap((context) => context.pages())
  for (const [i, page] of pages.entries()) await page.screenshot({ path: `${pictures}/failed-${i}.png`, fullPage: true })
}

// look checks a page on both screens in both colours, and takes a picture of each.
export async function look(page, name) {
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

export async function violations(page) {
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(axe())
  const { violations: found } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)
}

export const button = (page, name) => page.getByRole('button', { name, exact: true })
export const field = (page, label) => page.getByLabel(label, { exact: false }).first()
export const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor()
export const said = (page, text) => page.locator('.said', { hasText: text }).waitFor()
export const failure = (page, text) => page.getByRole('alert').filter({ hasText: text }).waitFor()
export const section = (page, title) => page.locator('section').filter({ has: page.getByRole('heading', { level: 2, name: title }) })

export async function fill(page, values) {
  for (const [name, value] of Object.entries(values)) {
    const input = page.locator(`[name="${name}"]`).first()
    if (await input.evaluate((element) => element.tagName) === 'SELECT') await input.selectOption(value)
    else await input.fill(value)
  }
}

export async function visit(page, path) {
  await page.goto(`${base}/console#${path}`)
}

export async function errorAt(page, name, text) {
  await page.locator(`#${name}-error`, { hasText: text }).waitFor()
  assert.equal(await page.locator(`[name="${name}"]`).getAttribute('aria-invalid'), 'true')
  await page.waitForFunction((id) => document.activeElement?.id === id, name)
}

// confirm answers the dialog, after a look at it.
export async function confirm(page, opener, answer, name) {
  await opener.click()
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  if (name) await look(page, name)
  await dialog.getByRole('button', { name: answer, exact: true }).click()
  return dialog
}

export async function signInHere(page, user) {
  await page.locator('[name="password"]').waitFor()
  await fill(page, user)
  await button(page, 'Sign in').click()
}

// api makes a request beside the browser.
export async function api(method, path, body, token, tenant) {
  const answer = await fetch(base + path, {
    method, body: body && JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', ...token && { Authorization: `Bearer ${token}` }, ...tenant && { 'X-TENANT': tenant } },
  })
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`)
  return answer.status === 204 ? null : answer.json()
}

export async function tokenOf({ email, password: secret }, tenant) {
  return (await api('POST', '/api/auth/login', { email, password: secret }, undefined, tenant)).access_token
}
