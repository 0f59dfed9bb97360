// Uses the console as its users would: each flow, each role and each failure. Every page
// is looked at on a narrow and on a wide screen, light and dark, and axe must find nothing.
// Usage: node .ci/console.mjs BASE_URL; SCREENSHOTS is a folder for the pictures, if any.
import assert from 'node:assert/strict'
import * as core from './console/core.mjs'
import * as inside from './console/inside.mjs'
import { browser, newPage, pictureOfAll, problems } from './console/page.mjs'
import * as wrong from './console/wrong.mjs'

async function step(name, act) {
  console.log(`- ${name}`)
  await act()
}

let failed = true
try {
  const owner = await newPage()
  await step('register at the core', () => core.registerAtCore(owner))
  await step('create an organization', () => core.createOrganization(owner))
  await step('the same rules for a short name', () => core.slugRules())
  await step('settings, suspend, resume, rename', () => core.manageOrganization(owner))
  await step('backups', () => core.backUp(owner))
  await step('enter without a password, profile', () => inside.enterAndProfile(owner))
  await step('a new short name while inside', () => core.renameInside(owner))
  await step('users', () => inside.manageUsers(owner))
  const member = await newPage()
  await step('invitation', () => inside.inviteAndAccept(owner, member))
  await step('a member, and pages of others', () => inside.memberSees(member))
  await step('withdraw an invitation', () => inside.withdraw(owner))
  await step('a forgotten password', () => inside.resetPassword(owner))
  await step('audit', () => inside.audit(owner))
  await step('more than a page', () => inside.pages(owner))
  await step('a lost connection', () => wrong.loseConnection(member))
  await step('an admin, and one who is demoted', () => inside.adminSees(owner, member))
  await step('a suspended organization', () => wrong.suspendMeanwhile(owner, member))
  await step('an access token that is refused', () => wrong.refreshOnce(owner))
  await step('two tabs refresh at once', () => wrong.twoTabs(owner))
  await step('answers that go wrong', () => wrong.answersGoWrong(owner))
  await step('a deletion that goes on', () => wrong.deletionGoesOn(owner))
  await step('without a mouse', async () => core.byKeyboard(await newPage()))
  await step('a session that was ended elsewhere', () => wrong.sessionEnds(owner))
  await step('a new password', () => core.changePassword(owner))
  await step('a tenant without an organization', async () => inside.ownTenant(await newPage()))
  await step('delete by typing the name', () => core.deleteOrganization(owner))
  await step('sign out in all tabs', () => core.signOut(owner))
  assert.deepEqual(problems, [], 'the pages are not as quiet as they should be')
  failed = false
} finally {
  if (failed) await pictureOfAll()
  for (const problem of problems) console.error(problem)
  await browser.close()
}
