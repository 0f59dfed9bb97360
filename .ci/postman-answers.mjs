// Holds the answers of a run of the Postman collection for people to those that are saved
// in it: the last one of each request is that of a run from top to bottom.
// Usage: node .ci/postman-answers.mjs REPORT, a report in JSON of newman or Bruno.
import assert from 'node:assert/strict'
import fs from 'node:fs'

const read = (file) => JSON.parse(fs.readFileSync(file, 'utf8'))
const saved = read('docs/postman_use.json').item.flatMap((folder) => folder.item)
const report = read(process.argv[2])
const answers = report.run
  ? report.run.executions.map(({ item, response }) => `${item.name}: ${response?.code}`)
  : report[0].results.map(({ name, response }) => `${name}: ${response.status}`)
assert.deepEqual(answers, saved.map(({ name, response }) => `${name}: ${response.at(-1).code}`))
console.log(`${answers.length} requests were answered as it is saved`)
