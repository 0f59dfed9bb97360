// The rules of the server for the slug of a new organization. The server has the last word:
// it also knows the words that are reserved and the slugs that are taken.

// slugOf makes a slug of a name: "Müller & Söhne" becomes "muller-sohne".
export function slugOf(name) {
  return name.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
    .replace(/ß/g, 'ss').replace(/[^a-z0-9]+/g, '-').slice(0, 40).replace(/^-+|-+$/g, '')
}

// slugFault says what is wrong with a slug, or nothing.
export function slugFault(slug) {
  if (slug.length < 2) return 'Use at least 2 characters.'
  if (slug.length > 40) return 'Use at most 40 characters.'
  if (/[A-Z]/.test(slug)) return 'Use small letters only.'
  if (/[^a-z0-9-]/.test(slug)) return 'Use only the letters a to z, digits and hyphens.'
  if (slug.startsWith('-') || slug.endsWith('-')) return 'A hyphen may not be the first or last character.'
  if (slug.includes('xn--')) return 'It may not contain “xn--”.'
  return ''
}

// slugCheck is the check of a form with a slug in the field of that name.
export function slugCheck(name) {
  return (values) => {
    const fault = slugFault(values[name])
    return fault ? { [name]: fault } : {}
  }
}
