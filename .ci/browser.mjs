// The browser that tries the pages. A page that works offline asks no other host.
import { createRequire } from 'node:module'

// import would ignore NODE_PATH, which says where the packages are.
const require = createRequire(import.meta.url)
const { chromium } = require('playwright-core')

export function launch() {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  })
}

// axe is the source of the checker of accessibility.
export function axe() {
  return require('axe-core').source
}

// watch collects exceptions, errors and requests to elsewhere. A refusal of the API, which
// the browser reports as an error too, is none where it is expected.
export function watch(page, base, isExpected = () => false) {
  const problems = []
  page.on('pageerror', (error) => problems.push(`exception: ${error.message}`))
  page.on('console', (message) => {
    // The browser reports violations of the content security policy here too.
    if (message.type() !== 'error' || isExpected(message)) return
    problems.push(`console: ${message.text()} ${message.location().url}`)
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    const inside = url.origin === new URL(base).origin || ['data:', 'blob:'].includes(url.protocol)
    if (!inside) problems.push(`request: ${request.url()}`)
  })
  return problems
}
