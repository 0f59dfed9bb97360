// Generates a client of fetch, and schemas of zod: as orval makes them by default, and
// strict ones, which refuse an answer with a field that they do not know.
const input = './openapi.yaml'

export default {
  fetch: { input, output: { target: './fetch.ts', client: 'fetch', baseUrl: process.env.BASE_URL } },
  zod: { input, output: { target: './zod.ts', client: 'zod' } },
  strict: { input, output: { target: './strict.ts', client: 'zod', override: { zod: { strict: { response: true } } } } },
}
