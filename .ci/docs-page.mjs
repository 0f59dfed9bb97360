// Uses the docs page as a reader would: searches, registers, logs in, sends requests with both
// tokens, and runs the examples. Nothing may be loaded from elsewhere, the policy may not be
// violated, and axe must find nothing on both screens in both colours.
// Usage: node .ci/docs-page.mjs BASE_URL; SCREENSHOTS is a folder for the pictures, if any.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { watch } from './browser.mjs'
import { base, browser, button, heading, look, password, pictureOfAll, problems, run } from './console/page.mjs'

const reader = { email: `docs-${run}@example.com`, password, full_name: 'A Reader' }
const slug = `docs-${run}`
const languages = ['curl', 'JavaScript', 'Python', 'Go']

let failed = true
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  page.setDefaultTimeout(15_000)
  // The browser calls a refusal of the API an error, too.
  page.problems = watch(page, base, (message) => message.location().url.startsWith(`${base}/api/`))
  await front(page)
  await search(page)
  await sendWithBothTokens(page)
  await runExamples(page)
  await leaveOut(page)
  await readAll(page)
  await forget(page)
  problems.push(...page.problems)
  assert.deepEqual(problems, [], 'the page is not as quiet as it should be')
  failed = false
} finally {
  if (failed) await pictureOfAll()
  for (const problem of problems) console.error(problem)
  await browser.close()
}

async function front(page) {
  await page.goto(base)
  await look(page, 'front')
  await page.getByRole('link', { name: 'Documentation' }).click()
  await page.waitForURL(`${base}/docs`)
  await heading(page, /Multi-Tenant API/)
  await look(page, 'docs')
}

// search finds an operation without a mouse, and skips to the content.
async function search(page) {
  await page.keyboard.press('ControlOrMeta+K')
  await page.keyboard.type('nothing is called so')
  await page.getByText(/^0 of \d+ operations$/).waitFor()
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.type('profile bio')
  await page.locator('#menu').getByRole('link', { name: /Change your profile/ }).waitFor()
  assert.equal(await page.locator('#menu').getByRole('link', { name: 'Log in' }).count(), 0)
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.type('reserved_slug')
  await page.locator('#menu').getByRole('link', { name: /Create an organization/ }).waitFor()
  assert.equal(await page.locator('#menu').getByRole('link', { name: 'Log in' }).count(), 0)
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.type('/api/auth/register')
  await page.keyboard.press('Enter')
  await heading(page, 'Register a user')
  await page.waitForFunction(() => document.activeElement?.tagName === 'H1')
  await page.locator('.skip').focus()
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.activeElement?.tagName === 'MAIN')
  await page.keyboard.press('ControlOrMeta+K')
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.press('Delete')
}

async function sendWithBothTokens(page) {
  const user = await send(page, 'register', { body: reader })
  assert.equal(user.email, reader.email)
  const login = await send(page, 'login', { body: { email: reader.email, password } })
  assert.equal(login.token_type, 'bearer')
  await button(page, 'Use as core token').click()
  await send(page, 'createOrganization', { body: { name: 'Docs', slug } }, [200])
  await send(page, 'enterOrganization', { slug })
  await button(page, 'Use as tenant token').click()
  await page.getByText('Authorize', { exact: true }).click()
  await page.getByLabel('X-TENANT').fill(slug)
  await look(page, 'docs-authorize')
  await page.getByText('Authorize', { exact: true }).click()

  // Both tokens are there at once, and each place gets its own.
  const asked = page.waitForRequest(`${base}/api/users/me`)
  const inside = await send(page, 'getProfile', { place: 'Inside the tenant' })
  assert.equal((await asked).headers()['x-tenant'], slug)
  assert.equal(inside.role, 'owner')
  const atCore = page.waitForRequest(`${base}/api/users/me`)
  const outside = await send(page, 'getProfile', { place: 'At the core' })
  assert.equal((await atCore).headers()['x-tenant'], undefined)
  assert.deepEqual([outside.id, outside.role], [user.id, undefined])
  const users = await send(page, 'listUsers', { place: 'Inside the tenant', limit: '1' })
  assert.equal(users.length ?? users.users?.length ?? users.items?.length, 1)
  await look(page, 'docs-answer')
  await send(page, 'getOperation', { id: '00000000-0000-0000-0000-000000000000' }, [404])
}

// open shows an operation, by the menu if it is there.
async function open(page, id) {
  await page.evaluate((end) => {
    location.hash = [...document.querySelectorAll('#menu a')].map((link) => link.hash).find((hash) => hash.endsWith(`/${end}`))
  }, id)
  await page.waitForFunction((end) => location.hash.endsWith(`/${end}`) && document.querySelector('#menu [aria-current]')?.hash === location.hash, id)
}

// send fills in the form of an operation, sends it, and returns the answer as it is shown.
async function send(page, id, { body, place, ...parameters } = {}, statuses = [200]) {
  await open(page, id)
  if (place && await page.getByLabel(place).count() > 0) await page.getByLabel(place).check({ force: true })
  for (const [name, value] of Object.entries(parameters)) await page.locator(`[name="${name}"]`).fill(value)
  if (body) await page.getByLabel('Body', { exact: true }).fill(JSON.stringify(body, null, 2))
  await page.locator('.answer').evaluate((answer) => answer.replaceChildren())
  await button(page, 'Send').click()
  const status = Number(await page.locator('.answer .status').innerText())
  const shown = await page.locator('.answer pre').first().innerText()
  assert.ok(statuses.includes(status), `${id} is ${status}: ${shown}`)
  return JSON.parse(shown)
}

// runExamples runs those of a request with text that means something to shells and languages.
async function runExamples(page) {
  const folder = mkdtempSync(join(tmpdir(), 'docs-'))
  try {
    for (const language of languages) {
      await open(page, 'updateProfile')
      await page.getByLabel('Inside the tenant').check({ force: true })
      const name = `O'Brien \`${language}\` $HOME "\\" ü`
      await page.getByLabel('Body', { exact: true }).fill(JSON.stringify({ full_name: name, bio: null }))
      await page.getByLabel(language, { exact: true }).check({ force: true })
      const sample = await page.locator('.sample pre').innerText()
      assert.match(sample, /TENANT_TOKEN/)
      assert.ok(!sample.includes('eyJ'), 'an example shows a token')
      if (language === 'Go') await look(page, 'docs-example')
      if (!await runs(page, language, sample, folder)) continue
      assert.equal((await send(page, 'getProfile', { place: 'Inside the tenant' })).full_name, name, sample)
    }
    await runDownloads(page, folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

// runDownloads runs the examples of a request whose answer is a file. There is no such export,
// so they keep a problem.
async function runDownloads(page, folder) {
  for (const language of languages) {
    await open(page, 'downloadExport')
    await page.locator('[name="id"]').fill('00000000-0000-0000-0000-000000000000')
    await page.getByLabel(language, { exact: true }).check({ force: true })
    if (!await runs(page, language, await page.locator('.sample pre').innerText(), folder)) continue
    const kept = join(folder, 'answer.zip')
    assert.match(readFileSync(kept, 'utf8'), /export_not_found/, language)
    rmSync(kept)
  }
}

// runs reports whether the machine has what an example needs, and runs it.
async function runs(page, language, sample, folder) {
  const file = join(folder, { curl: 'example.sh', JavaScript: 'example.mjs', Python: 'example.py', Go: 'example.go' }[language])
  writeFileSync(file, sample)
  const commands = { curl: ['sh', file], JavaScript: [process.execPath, file], Python: ['python3', file], Go: ['go', 'run', file] }
  const needs = { curl: ['curl', '--version'], Python: ['python3', '-c', 'import requests'] }[language]
  try {
    if (needs) execFileSync(needs[0], needs.slice(1), { stdio: 'ignore' })
  } catch {
    console.log(`- ${language} is not installed: its example was not run`)
    return false
  }
  const token = await page.getByLabel('Tenant token', { exact: false }).first().inputValue()
  const [program, ...rest] = commands[language]
  execFileSync(program, rest, { env: { ...process.env, TENANT_TOKEN: token, EXPORT_KEY: 'mtx_none' }, cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  return true
}

// leaveOut sends nothing while something is missing.
async function leaveOut(page) {
  await open(page, 'getOrganization')
  const requests = []
  page.on('request', (request) => requests.push(request.url()))
  await button(page, 'Send').click()
  await page.waitForFunction(() => document.activeElement?.name === 'slug')
  assert.equal(await page.locator('[name="slug"]').getAttribute('aria-invalid'), 'true')
  await page.keyboard.type(slug)
  await page.keyboard.press('Enter')
  await page.locator('.answer .status', { hasText: '200' }).waitFor()
  assert.deepEqual(requests, [`${base}/api/organizations/${slug}`])
}

// readAll opens every operation on a narrow screen, with all that is folded.
async function readAll(page) {
  await page.setViewportSize({ width: 390, height: 844 })
  const ids = await page.locator('#menu a').evaluateAll((links) => links.map(({ hash }) => hash.split('/').pop()))
  assert.ok(ids.length > 35, `the menu has ${ids.length} operations`)
  for (const id of ids) {
    await open(page, id)
    await unfold(page)
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
    assert.ok(over <= 0, `${id} is ${over} pixels too wide`)
    const text = await page.locator('main').innerText()
    assert.doesNotMatch(text, /undefined|\[object|NaN|\$ref/, id)
  }
  await open(page, 'exportOwnData')
  await unfold(page)
  await look(page, 'docs-operation')
  await page.goto(`${base}/docs#/shared-answers`)
  await heading(page, /many requests share/)
  await look(page, 'docs-shared')
}

async function unfold(page) {
  await page.evaluate(() => document.querySelectorAll('main details').forEach((fold) => { fold.open = true }))
}

// forget makes sure that the tokens go with the page.
async function forget(page) {
  const stored = await page.evaluate(async () => [localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length])
  assert.deepEqual(stored, [0, 0, '', 0])
  await page.reload()
  await page.getByText('no token yet').waitFor()
}
