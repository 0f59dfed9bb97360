// Backups of an organization, and the operations that make them.
import { useEffect } from '../../lib/hooks/index.js'
import { bytes, Pages, Tag, Time, usePages, words } from '../lists.js'
import { go } from '../router.js'
import { call, get } from '../sessions.js'
import { Action, html, Loaded, Page, say, useLoad } from '../ui.js'

const proofs = ['damaged', 'read back', 'content compared', 'restored for a trial']

export function Backups({ slug }) {
  const path = `/api/organizations/${slug}/backups`
  const list = usePages('', path)
  const make = async () => {
    const { location, body } = await call('', 'POST', path)
    say('The server makes a backup.')
    go(location ? location.replace('/api/', '/core/') : `/core/operations/${body.id}`)
  }
  const columns = [
    { label: 'Taken', cell: (b) => html`<${Time} at=${b.taken_at} />` },
    { label: 'Size', cell: (b) => bytes(b.bytes) },
    { label: 'Encrypted', cell: (b) => b.is_encrypted ? 'yes' : 'no' },
    { label: 'Checked', cell: (b) => html`<${Tag} kind=${b.proven_level ? 'good' : 'bad'}>${proofs[b.proven_level] ?? 'yes'}<//>` },
    { label: 'Complete', cell: (b) => b.is_complete ? 'yes' : 'no: it had objects that a backup does not keep' },
  ]
  const off = list.problem?.code === 'backups_off'
  return html`<section><h2>Backups</h2>
    ${off ? html`<div class="empty" role="status"><p><strong>${list.problem.detail}.</strong></p><p>Ask its operator to turn them on.</p></div>` : html`
      <p><${Action} run=${make}>Make a backup<//></p>
      <${Pages} list=${list} caption="Backups" columns=${columns} empty="There is no backup yet. Make the first one." />`}
  </section>`
}

const running = ['queued', 'running']

// Operation follows an operation until it has ended.
export function Operation({ id }) {
  const loaded = useLoad(() => get('', `/api/operations/${id}`), [id])
  const busy = running.includes(loaded.data?.status)
  useEffect(() => {
    if (!busy || loaded.loading) return
    const timer = setTimeout(loaded.reload, 1000)
    return () => clearTimeout(timer)
  }, [loaded])
  return html`<${Page} title=${loaded.data ? words(loaded.data.kind) : 'Operation'} lead="The server does this by itself. You may leave this page.">
    <${Loaded} from=${loaded}>${(op) => html`
      <section aria-live="polite">
        <p><${Tag} kind=${{ done: 'good', failed: 'bad' }[op.status]}>${op.status}<//> ${op.phase && busy && words(op.phase)}</p>
        ${busy && html`<progress aria-label="Progress" value=${op.total ? op.done : undefined} max=${op.total ?? undefined}></progress>`}
        ${op.error && html`<p>${op.status === 'failed' ? 'It failed' : 'The last attempt failed'}: ${words(op.error)}.</p>`}
      </section>
      <dl>
        <dt>Asked for</dt><dd><${Time} at=${op.created_at} /></dd>
        <dt>Last change</dt><dd><${Time} at=${op.updated_at} /></dd>
        ${op.organization && html`<dt>Organization</dt><dd><a href="#/core/organizations/${op.organization}">${op.organization}</a></dd>`}
      </dl>`}<//>
  <//>`
}
