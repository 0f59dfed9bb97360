// The OpenAPI document, and the questions that the page has to it.

const methods = ['get', 'post', 'put', 'patch', 'delete']

// An answer that so many operations share is described once.
const shared = 10

export class Description {
  constructor(source) {
    this.source = source
    this.operations = Object.entries(source.paths).flatMap(([path, item]) =>
      methods.filter((method) => item[method]).map((method) => this.operation(path, method, item)))
    this.tags = source.tags.map((tag) => ({
      ...tag, operations: this.operations.filter((operation) => operation.tag === tag.name),
    }))
    this.shared = this.sharedAnswers()
  }

  // resolve follows a reference within the document.
  resolve(value) {
    if (!value?.$ref) return value
    return this.resolve(value.$ref.slice(2).split('/').reduce((at, name) => at[name], this.source))
  }

  operation(path, method, item) {
    const { operationId: id, summary, description, tags: [tag], security, requestBody, responses, parameters = [] } = item[method]
    const all = [...(item.parameters ?? []), ...parameters].map((parameter) => this.resolve(parameter))
    const operation = {
      id, path, method, summary, description, tag, responses,
      address: `#/${encodeURIComponent(tag)}/${id}`,
      parameters: all.filter(({ name }) => name !== 'X-TENANT'),
      tenant: all.find(({ name }) => name === 'X-TENANT'),
      body: this.body(this.resolve(requestBody)),
      file: fileOf(Object.values(responses)[0]), codes: this.codes(responses),
    }
    operation.ways = waysOf(operation, security ?? this.source.security ?? [])
    return operation
  }

  // codes returns the statuses of the answers, and the codes of their problems.
  codes(responses) {
    return Object.entries(responses).flatMap(([status, answer]) => [
      status, ...Object.values(this.resolve(answer).content ?? {}).flatMap(({ examples = {} }) => Object.keys(examples)),
    ])
  }

  body(body) {
    if (!body) return undefined
    const [type, media] = Object.entries(body.content)[0]
    return { type, schema: media.schema, examples: this.examples(media), required: body.required }
  }

  // examples returns those of a body, each with its value and its summary.
  examples({ examples = {}, example }) {
    if (example !== undefined) return [{ name: 'example', value: example }]
    return Object.entries(examples).map(([name, found]) => ({ name, ...this.resolve(found) }))
  }

  // sharedAnswers returns the answers that many operations have, by their references.
  sharedAnswers() {
    const found = new Map()
    for (const { responses } of this.operations) {
      for (const [status, { $ref }] of Object.entries(responses)) {
        if (!$ref) continue
        const answer = found.get($ref) ?? { status, count: 0, ...this.resolve({ $ref }) }
        answer.count++
        found.set($ref, answer)
      }
    }
    return new Map([...found].filter(([, { status, count }]) => count >= shared && status >= '400'))
  }

  // search returns the operations that have every word somewhere.
  search(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean)
    return this.operations.filter((operation) => {
      const { id, method, path, summary, description, tag, codes } = operation
      const all = [id, method, path, summary, description, tag, ...codes].join(' ').toLowerCase()
      return words.every((word) => all.includes(word))
    })
  }
}

// fileOf names the file that an operation answers with, if it does.
function fileOf({ content = {} }) {
  const [, extension] = Object.keys(content)[0]?.match(/^application\/(zip)$/) ?? []
  return extension && `answer.${extension}`
}

// waysOf returns how an operation can be called: at the core, inside a tenant, or both, each
// with its token. A way has no token where the operation needs none.
function waysOf({ tenant }, security) {
  const schemes = security.flatMap((requirement) => Object.keys(requirement))
  if (schemes.length === 0 && !tenant) return [{ name: 'open' }]
  if (schemes.includes('exportKey')) return [{ name: 'export', token: 'exportKey' }]
  const isOpen = schemes.length === 0
  const core = { name: 'core', label: 'At the core', token: !isOpen && 'coreToken' }
  const inside = { name: 'tenant', label: 'Inside the tenant', token: !isOpen && 'tenantToken', sendsTenant: true }
  return [core, inside].filter(({ token }) => isOpen || schemes.includes(token))
}
