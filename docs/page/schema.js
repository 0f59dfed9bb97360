// What a JSON Schema says, as a list of fields.
import { el, inline } from './dom.js'

// fields returns the list of an object's fields, or one line for anything else.
export function fields(description, schema) {
  const found = description.resolve(schema)
  const items = found?.items && description.resolve(found.items)
  const object = found?.properties ? found : items?.properties ? items : undefined
  if (!object) return el('p', { class: 'quiet' }, kindOf(description, schema), ...textOf(found))
  return el('ul', { class: 'fields' }, Object.entries(object.properties).map(([name, property]) =>
    oneField(description, name, property, object.required?.includes(name))))
}

function oneField(description, name, schema, required) {
  const found = description.resolve(schema)
  const inner = objectsIn(description, found)
  return el('li', {},
    el('div', { class: 'field-head' }, el('code', {}, name), ' ', el('span', { class: 'quiet' }, kindOf(description, schema)), required && el('span', { class: 'tag' }, 'required')),
    ...textOf(found),
    inner.map((one) => el('details', {}, el('summary', {}, one.name), fields(description, one.schema))))
}

// objectsIn returns the objects within a field, which are folded away.
function objectsIn(description, schema) {
  const all = schema.oneOf ?? [schema.items ?? schema]
  return all.filter((one) => description.resolve(one).properties).map((one) => ({ name: one.$ref?.split('/').pop() ?? 'Fields', schema: one }))
}

function textOf(schema) {
  const limits = limitsOf(schema ?? {})
  return [schema?.description && el('p', {}, inline(schema.description)), limits && el('p', { class: 'quiet' }, limits)]
}

// kindOf names the type of a schema.
function kindOf(description, schema) {
  const found = description.resolve(schema) ?? {}
  if (found.oneOf) return found.oneOf.map((one) => kindOf(description, one)).join(' or ')
  if (found.const !== undefined) return JSON.stringify(found.const)
  if (found.type === 'array') return `list of ${kindOf(description, found.items)}`
  const named = found.properties && schema.$ref?.split('/').pop()
  const types = [found.type ?? 'any'].flat().join(' or ')
  return named ?? (found.format ? `${types}, ${found.format}` : types)
}

// limitsOf says which values a schema takes.
function limitsOf({ enum: values, minLength, maxLength, minimum, maximum, minItems, maxItems, pattern, default: preset }) {
  const range = (least, most, unit) => {
    if (least === undefined && most === undefined) return undefined
    if (least === undefined) return `at most ${most}${unit}`
    return most === undefined ? `at least ${least}${unit}` : `${least} to ${most}${unit}`
  }
  return [
    values && `one of ${values.map((value) => JSON.stringify(value)).join(', ')}`,
    range(minLength, maxLength, ' characters'), range(minimum, maximum, ''), range(minItems, maxItems, ' items'),
    pattern && `matches ${pattern}`,
    preset !== undefined && `${JSON.stringify(preset)} if absent`,
  ].filter(Boolean).join('; ')
}
