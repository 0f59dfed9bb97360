// The address of a page is the fragment: #/core/organizations?action=x
import { useEffect, useState } from '../lib/hooks/index.js'

let isLed = false

export function current() {
  const [path, search = ''] = location.hash.slice(1).split('?')
  return { path: path || '/', query: new URLSearchParams(search) }
}

// useRoute renders a component again when the address changes.
export function useRoute() {
  const [route, set] = useState(current)
  useEffect(() => {
    const listener = () => set(current())
    window.addEventListener('hashchange', listener)
    return () => window.removeEventListener('hashchange', listener)
  }, [])
  return route
}

// go leads to another page after something was done. What was said of it stays, while a link
// of the user's choice takes it away.
export function go(path) {
  isLed = location.hash !== `#${path}`
  location.hash = path
}

export function wasLed() {
  const was = isLed
  isLed = false
  return was
}

// leave goes on from a page that the button "back" shall not lead to.
export function leave(path, from) {
  if (current().path === from) location.replace(`#${path}`)
}

// forgetQuery takes the query, which may hold a token, out of the address and the history.
export function forgetQuery() {
  history.replaceState(null, '', `#${current().path}`)
}

// home is the first path of a place, and base what all its paths begin with.
export function base(place) {
  return place === '' ? '/core' : `/in/${place}`
}

export function home(place) {
  return place === '' ? '/core/organizations' : `${base(place)}/profile`
}
