// A request as a program would send it. A request has a method, an address, headers as
// pairs, the kind of its token, if any, a body, if any, and the name of the file that is to
// keep the answer, if it is no text.
import { variableOf } from './credentials.js'

export const languages = { curl, JavaScript: javascript, Python: python, Go: go }

const authorization = 'Authorization'

// parsed returns the value of a body, or undefined where it is no JSON.
function parsed(body) {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

function indented(text, by) {
  return text.replaceAll('\n', `\n${by}`)
}

function curl({ method, address, headers, token, body, file }) {
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`
  const method_ = method === 'GET' ? '' : `-X ${method} `
  const lines = [`curl ${method_}${quote(address)}`, ...headers.map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`)]
  if (token) lines.push(`-H "${authorization}: Bearer $${variableOf(token)}"`)
  if (body !== undefined) lines.push(`-d ${quote(body)}`)
  if (file) lines.push(`--output ${file}`)
  return lines.join(' \\\n  ')
}

function javascript({ method, address, headers, token, body, file }) {
  const quote = (text) => `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
  const options = []
  if (method !== 'GET') options.push(`method: ${quote(method)},`)
  const lines = headers.map(([name, value]) => `    ${quote(name)}: ${quote(value)},`)
  if (token) lines.push(`    ${authorization}: \`Bearer \${process.env.${variableOf(token)}}\`,`)
  if (lines.length > 0) options.push(`headers: {\n${lines.join('\n')}\n  },`)
  if (body !== undefined) {
    const value = parsed(body)
    options.push(`body: ${value === undefined ? quote(body) : `JSON.stringify(${indented(JSON.stringify(value, null, 2), '  ')})`},`)
  }
  const second = options.length > 0 ? `, {\n  ${options.join('\n  ')}\n}` : ''
  const request = `const response = await fetch(${quote(address)}${second})\n`
  if (!file) return `${request}console.log(response.status, await response.text())`
  return `import { writeFile } from 'node:fs/promises'\n\n${request}console.log(response.status)\n` +
    `await writeFile(${quote(file)}, new Uint8Array(await response.arrayBuffer()))`
}

function python({ method, address, headers, token, body, file }) {
  const lines = headers.map(([name, value]) => `        ${JSON.stringify(name)}: ${JSON.stringify(value)},`)
  if (token) lines.push(`        "${authorization}": f"Bearer {os.environ['${variableOf(token)}']}",`)
  const options = [JSON.stringify(address)]
  if (lines.length > 0) options.push(`headers={\n${lines.join('\n')}\n    }`)
  if (body !== undefined) {
    const value = parsed(body)
    options.push(value === undefined ? `data=${JSON.stringify(body)}` : `json=${indented(literal(value), '    ')}`)
  }
  const imports = token ? 'import os\n\nimport requests' : 'import requests'
  return `${imports}\n\nresponse = requests.${method.toLowerCase()}(\n${options.map((option) => `    ${option},\n`).join('')})\n` +
    (file ? `print(response.status_code)\nopen("${file}", "wb").write(response.content)` : 'print(response.status_code, response.text)')
}

// literal writes a JSON value as Python does.
function literal(value) {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value !== 'object') return JSON.stringify(value)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const items = Array.isArray(value) ? value.map(literal) : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${literal(item)}`)
  if (items.length === 0) return open + close
  return `${open}\n${items.map((item) => `    ${indented(item, '    ')},\n`).join('')}${close}`
}

function go({ method, address, headers, token, body, file }) {
  const text = body?.includes('`') ? JSON.stringify(body) : `\`${body}\``
  const imports = ['fmt', 'io', 'log', 'net/http', (file || token) && 'os', body !== undefined && 'strings'].filter(Boolean)
  const lines = headers.map(([name, value]) => `request.Header.Set(${JSON.stringify(name)}, ${JSON.stringify(value)})`)
  if (token) lines.push(`request.Header.Set("${authorization}", "Bearer "+os.Getenv("${variableOf(token)}"))`)
  return `package main

import (
${imports.map((name) => `\t"${name}"`).join('\n')}
)

func main() {
	request, err := http.NewRequest("${method}", ${JSON.stringify(address)}, ${body === undefined ? 'nil' : `strings.NewReader(${text})`})
	if err != nil {
		log.Fatal(err)
	}
${lines.map((line) => `\t${line}\n`).join('')}	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	${file ? `if err := os.WriteFile("${file}", answer, 0o600); err != nil {\n\t\tlog.Fatal(err)\n\t}\n\tfmt.Println(response.Status)` : 'fmt.Println(response.Status, string(answer))'}
}`
}
