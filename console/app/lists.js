// Lists with pages, and the small things in them.
import { useCallback, useEffect, useRef, useState } from '../lib/hooks/index.js'
import { query } from './api.js'
import { get } from './sessions.js'
import { Action, Failure, html, say, Waiting } from './ui.js'

const pageSize = 25

// usePages loads a list page by page. Of two lists asked for at once the later one counts.
export function usePages(place, path, filter = {}) {
  const [state, set] = useState({ items: [], loading: true })
  const asked = useRef(0)
  const key = JSON.stringify(filter)
  const load = useCallback(async (items, cursor) => {
    const mine = ++asked.current
    set((before) => ({ ...before, loading: true, problem: null }))
    try {
      const page = await get(place, path + query({ ...filter, limit: pageSize, cursor }))
      if (mine === asked.current) set({ items: [...items, ...page.items], next: page.next_cursor, loaded: true })
    } catch (problem) {
      if (mine === asked.current) set({ items, next: cursor, problem })
    }
  }, [place, path, key])
  const reload = useCallback(() => load([]), [load])
  useEffect(() => void reload(), [reload])
  return { ...state, reload, more: () => load(state.items, state.next) }
}

// Pages shows a list as a table, or advice where the list is empty.
export function Pages({ list, caption, columns, empty }) {
  return html`
    ${list.items.length > 0 && html`<${Table} caption=${caption} columns=${columns} rows=${list.items} />`}
    ${list.loaded && list.items.length === 0 && !list.loading && html`<div class="empty">${empty}</div>`}
    <${Failure} problem=${list.problem} retry=${list.next ? list.more : list.reload} />
    ${list.loading && html`<${Waiting} />`}
    ${list.next && !list.problem && html`<p><${Action} run=${list.more}>Show more<//></p>`}`
}

// Table is one card for each row on narrow screens. Its roles are spelled out because
// browsers drop them where the style makes no table of it.
export function Table({ caption, columns, rows }) {
  return html`<table role="table">
    <caption class="hidden">${caption}</caption>
    <thead role="rowgroup"><tr role="row">
      ${columns.map(({ label, quiet }) => html`<th role="columnheader" scope="col"><span class=${quiet ? 'hidden' : ''}>${label}</span></th>`)}
    </tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<tr role="row" key=${row.id}>
      ${columns.map((column) => html`<${Cell} ...${column} row=${row} />`)}
    </tr>`)}</tbody>
  </table>`
}

function Cell({ label, cell, quiet, row }) {
  const content = cell(row)
  return html`<td role="cell" data-label=${quiet ? undefined : label}>${content && html`<div>${content}</div>`}</td>`
}

const moment = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })

export function Time({ at }) {
  return html`<time datetime=${at}>${moment.format(new Date(at))}</time>`
}

export function Tag({ kind = '', children }) {
  return html`<span class="tag ${kind}">${children}</span>`
}

// Secret shows a text that is shown this once, to be copied.
export function Secret({ label, text }) {
  const field = useRef(null)
  const copy = async () => {
    field.current.select()
    try {
      await navigator.clipboard.writeText(text)
      say('Copied.')
    } catch {
      say('The text is selected. Copy it with your keyboard.')
    }
  }
  return html`<div class="field"><label>${label}
    <span class="copy"><input readonly value=${text} ref=${field} onFocus=${(event) => event.target.select()} />
    <button type="button" onClick=${copy}>Copy</button></span></label></div>`
}

// words makes "user.signed_in" readable.
export function words(code) {
  const text = code.replace(/[._]/g, ' ')
  return text[0].toUpperCase() + text.slice(1)
}

export function bytes(n) {
  if (n < 1000) return `${n} bytes`
  const unit = ['kB', 'MB', 'GB', 'TB'].find((_, i) => n < 1000 ** (i + 2)) ?? 'TB'
  return `${(n / 1000 ** (['kB', 'MB', 'GB', 'TB'].indexOf(unit) + 1)).toFixed(1)} ${unit}`
}
