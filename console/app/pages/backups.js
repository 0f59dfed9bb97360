// Backups and exports of an organization, and the operations that make them.
import { useEffect, useState } from '../../lib/hooks/index.js'
import { download } from '../api.js'
import { bytes, Pages, Secret, Tag, Time, usePages, words } from '../lists.js'
import { go } from '../router.js'
import { call, get } from '../sessions.js'
import { slugCheck } from '../slug.js'
import { Action, Field, Form, html, Loaded, Page, say, useLoad } from '../ui.js'

const proofs = ['damaged', 'read back', 'content compared', 'restored for a trial']

export function Backups({ slug }) {
  const path = `/api/organizations/${slug}/backups`
  const list = usePages('', path)
  const make = async () => {
    const answer = await call('', 'POST', path)
    say('The server makes a backup.')
    follow(answer)
  }
  const columns = [
    { label: 'Taken', cell: (b) => html`<${Time} at=${b.taken_at} />` },
    { label: 'Size', cell: (b) => bytes(b.bytes) },
    { label: 'Encrypted', cell: (b) => b.is_encrypted ? 'yes' : 'no' },
    { label: 'Checked', cell: (b) => html`<${Tag} kind=${b.proven_level ? 'good' : 'bad'}>${proofs[b.proven_level] ?? 'yes'}<//>` },
    { label: 'Complete', cell: (b) => b.is_complete ? 'yes' : 'no: it had objects that a backup does not keep' },
    { label: 'Restore', quiet: true, cell: (b) => b.proven_level > 0 && html`<a href="#/core/organizations/${slug}/restore/${b.id}">Restore…</a>` },
  ]
  if (list.problem?.code === 'backups_off') {
    return html`<section><h2>Backups and exports</h2>
      <div class="empty" role="status"><p><strong>${list.problem.detail}.</strong></p><p>Ask its operator to turn them on.</p></div></section>`
  }
  return html`
    <section><h2>Backups</h2>
      <p><${Action} run=${make}>Make a backup<//></p>
      <${Pages} list=${list} caption="Backups" columns=${columns} empty="There is no backup yet. Make the first one." />
    </section>
    <section><h2>Export</h2><${Export} slug=${slug} /></section>`
}

// Export makes a file with all that the organization has. Its key is in this page alone.
function Export({ slug }) {
  const [made, set] = useState(null)
  const make = async () => {
    set((await call('', 'POST', `/api/organizations/${slug}/export`)).body)
    say('The server makes the export.')
  }
  return html`
    <p>A ZIP with everything that is in the organization, without passwords, for you to keep or to take elsewhere.</p>
    ${made ? html`<${Exported} slug=${slug} made=${made} />` : html`<p><${Action} run=${make}>Make an export<//></p>`}`
}

function Exported({ slug, made }) {
  const [taken, set] = useState(false)
  const loaded = useOperation(made.id)
  const save = async () => {
    const link = document.createElement('a')
    link.href = URL.createObjectURL(await download(made.link, made.key))
    link.download = `${slug}.zip`
    link.click()
    URL.revokeObjectURL(link.href)
    set(true)
    say('The export is downloaded. It cannot be downloaded again.')
  }
  return html`
    <${Loaded} from=${loaded}>${(op) => html`<${Progress} op=${op} />
      ${op.status === 'done' && !taken && html`<p><${Action} kind="main" run=${save}>Download<//></p>`}`}<//>
    ${!taken && html`<${Secret} label="Key of the export, shown this once" text=${made.key} />
      <p>Stay on this page until the download, or keep the key: with it <code>${location.origin}${made.link}</code> can
        be downloaded once, within a day after it is made.</p>`}`
}

// Restoration makes another organization of a backup.
export function Restoration({ slug, backup }) {
  const submit = async (values) => {
    const answer = await call('', 'POST', `/api/organizations/${slug}/restore`, { ...values, backup })
    say(`The server makes ${values.as}.`)
    follow(answer)
  }
  return html`<${Page} title="Restore a backup" lead=${html`<a href="#/core/organizations/${slug}">Back to ${slug}</a>`}>
    <p>The backup <code>${backup}</code> becomes a new organization of yours. <strong>${slug}</strong> stays as it is.</p>
    <${Form} submit=${submit} label="Restore" busyLabel="Asking…" check=${slugCheck('as')}>
      <${Field} name="as" label="Short name of the new organization" required autocomplete="off" autocapitalize="none" spellcheck=${false}
        hint="Its users sign in with it, by the passwords that they had then." />
    <//>
  <//>`
}

// follow leads to the page of the operation that an answer has queued.
function follow({ location, body }) {
  go(location ? location.replace('/api/', '/core/') : `/core/operations/${body.id}`)
}

const isBusy = (op) => ['queued', 'running'].includes(op?.status)

// useOperation follows an operation until it has ended.
function useOperation(id) {
  const loaded = useLoad(() => get('', `/api/operations/${id}`), [id])
  useEffect(() => {
    if (!isBusy(loaded.data) || loaded.loading) return
    const timer = setTimeout(loaded.reload, 1000)
    return () => clearTimeout(timer)
  }, [loaded])
  return loaded
}

function Progress({ op }) {
  return html`<div aria-live="polite">
    <p><${Tag} kind=${{ done: 'good', failed: 'bad' }[op.status]}>${op.status}<//> ${op.phase && isBusy(op) && words(op.phase)}</p>
    ${isBusy(op) && html`<progress aria-label="Progress" value=${op.total ? op.done : undefined} max=${op.total ?? undefined}></progress>`}
    ${op.error && html`<p>${op.status === 'failed' ? 'It failed' : 'The last attempt failed'}: ${words(op.error)}.</p>`}
  </div>`
}

export function Operation({ id }) {
  const loaded = useOperation(id)
  return html`<${Page} title=${loaded.data ? words(loaded.data.kind) : 'Operation'} lead=${isBusy(loaded.data) && 'The server does this by itself. You may leave this page.'}>
    <${Loaded} from=${loaded}>${(op) => html`
      <section><${Progress} op=${op} /></section>
      <dl>
        <dt>Asked for</dt><dd><${Time} at=${op.created_at} /></dd>
        <dt>Last change</dt><dd><${Time} at=${op.updated_at} /></dd>
        ${op.organization && html`<dt>Organization</dt><dd><a href="#/core/organizations/${op.organization}">${op.organization}</a></dd>`}
      </dl>
      ${op.kind === 'restore' && op.status === 'done' && html`<p>It is among <a href="#/core/organizations">your organizations</a> now.</p>`}`}<//>
  <//>`
}
