// Uses the docs page as a person would: registers, logs in, authorizes and
// reads the profile. Nothing may be loaded from elsewhere, and the browser's
// console must stay free of errors.
// Usage: node .ci/docs-page.mjs BASE_URL SCREENSHOT.png
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { launch, watch } from './browser.mjs'

const [base, screenshot] = process.argv.slice(2)
const person = {
  email: `docs-${randomBytes(6).toString('hex')}@example.com`,
  password: randomBytes(12).toString('hex'),
}

const browser = await launch()
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } })
  const problems = watch(page, base)
  try {
    await visit(page)
  } finally {
    for (const problem of problems) console.error(problem)
    await page.screenshot({ path: screenshot, fullPage: true })
  }
  assert.equal(problems.length, 0, 'the page is not as quiet as it should be')
} finally {
  await browser.close()
}

async function visit(page) {
  page.setDefaultTimeout(15_000)
  await page.goto(`${base}/docs`)
  await page.locator('.btn.authorize').first().waitFor()

  const register = await open(page, 'post', '/api/auth/register')
  await register.locator('tr[data-param-name="X-TENANT"]').first().waitFor()
  const user = await execute(register, { ...person, full_name: 'A Reader' })
  assert.equal(user.email, person.email)
  assert.ok(Number.isInteger(user.id), 'the answer to register has an id')

  const login = await execute(await open(page, 'post', '/api/auth/login'), person)
  assert.equal(login.token_type, 'bearer')
  await authorize(page, login.access_token)

  const me = await execute(await open(page, 'get', '/api/users/me'))
  assert.deepEqual([me.id, me.email], [user.id, user.email])
}

// open unfolds an operation and makes it ready to be tried.
async function open(page, method, path) {
  const operation = page.locator(`.opblock-${method}`).filter({
    has: page.locator(`.opblock-summary-path[data-path="${path}"]`),
  })
  await operation.locator('.opblock-summary-control').click()
  const tryOut = operation.getByRole('button', { name: 'Try it out' })
  const execute = operation.locator('.btn.execute')
  await tryOut.or(execute).first().waitFor()
  if (await tryOut.isVisible()) await tryOut.click()
  return operation
}

// execute sends the request and returns the answer as the page shows it.
async function execute(operation, body) {
  if (body) await operation.locator('textarea.body-param__text').fill(JSON.stringify(body, null, 2))
  await operation.locator('.btn.execute').click()
  const shown = operation.locator('.live-responses-table')
  const status = await shown.locator('tbody .response-col_status').first().innerText()
  const answer = await shown.locator('tbody .highlight-code, tbody .microlight').first().innerText()
  assert.match(status, /^\s*200\b/, `the page shows ${status}: ${answer}`)
  return JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1))
}

async function authorize(page, token) {
  await page.locator('.btn.authorize').first().click()
  const dialog = page.locator('.dialog-ux')
  await dialog.locator('.auth-container input').first().fill(token)
  await dialog.locator('.auth-btn-wrapper .authorize').first().click()
  await dialog.getByText('Logout', { exact: true }).first().waitFor()
  await dialog.locator('.btn-done').first().click()
  await dialog.waitFor({ state: 'detached' })
}
