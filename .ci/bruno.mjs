// Makes a Bruno collection of a Postman collection, as Bruno's own import does.
// Usage: node .ci/bruno.mjs FOLDER COLLECTION [ENVIRONMENT]
// It fails at anything that Bruno does not understand.
import fs from 'node:fs'
import { createRequire } from 'node:module'

// Bruno's packages have no ES modules, and NODE_PATH holds for require alone.
const require = createRequire(import.meta.url)
const { postmanToBruno, postmanToBrunoEnvironment } = require('@usebruno/converters')
const { createCollectionFromBrunoObject } = require('@usebruno/cli/src/utils/collection.js')

const [folder, ...files] = process.argv.slice(2)
const [postman, environment] = files.map((file) => JSON.parse(fs.readFileSync(file, 'utf8')))
const { collection, issues } = await postmanToBruno(postman)
if (issues.length > 0) {
  throw new Error(JSON.stringify(issues))
}
if (environment) {
  collection.environments = [{ ...postmanToBrunoEnvironment(environment), name: 'environment' }]
}
fs.mkdirSync(folder)
await createCollectionFromBrunoObject(collection, folder, { format: 'bru' })
