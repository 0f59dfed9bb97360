// Requests to the API. Every failure becomes a Problem, also one that no answer came to.

const patience = 30_000 // milliseconds; the server gives up after 20 seconds

export class Problem extends Error {
  constructor({ status = 0, code, detail, errors = [], request_id = '', retryAfter = 0 }) {
    super(detail)
    this.name = 'Problem'
    Object.assign(this, { status, code, detail, errors, requestID: request_id, retryAfter })
  }
}

// send makes one request and returns { status, body, location }.
export async function send(method, path, { body, token, tenant } = {}) {
  const headers = { Accept: 'application/json' }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (token) headers.Authorization = `Bearer ${token}`
  if (tenant) headers['X-TENANT'] = tenant
  const answer = await reach(path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
    cache: 'no-store', credentials: 'omit', redirect: 'error', signal: AbortSignal.timeout(patience),
  })
  const content = await read(answer)
  if (!answer.ok) throw problemOf(answer, content)
  return { status: answer.status, body: content, location: answer.headers.get('Location') }
}

// download returns a file as a Blob, however long it takes.
export async function download(path, token) {
  const answer = await reach(path, { headers: { Authorization: `Bearer ${token}` }, cache: 'no-store', credentials: 'omit', redirect: 'error' })
  if (!answer.ok) throw problemOf(answer, await read(answer))
  try {
    return await answer.blob()
  } catch {
    throw unreachable()
  }
}

async function reach(path, request) {
  try {
    return await fetch(path, request)
  } catch (error) {
    throw error.name === 'TimeoutError' ? late() : unreachable()
  }
}

async function read(answer) {
  try {
    const text = await answer.text()
    return text === '' ? null : JSON.parse(text)
  } catch (error) {
    if (error.name === 'TimeoutError') throw late()
    if (!(error instanceof SyntaxError)) throw unreachable()
    return null // a proxy's page, whose status says enough
  }
}

function problemOf(answer, content) {
  const retryAfter = Number(answer.headers.get('Retry-After')) || 0
  if (content?.detail) return new Problem({ ...content, status: answer.status, retryAfter })
  return new Problem({
    status: answer.status, code: 'unexpected', retryAfter,
    detail: `The server answered with status ${answer.status} and no explanation.`,
  })
}

function unreachable() {
  return new Problem({ code: 'unreachable', detail: 'The server cannot be reached. Check your connection and try again.' })
}

function late() {
  return new Problem({ code: 'late', detail: 'The server did not answer in time. Try again in a moment.' })
}

// query returns the query string of the values that are set, with its question mark.
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '')
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`
}
