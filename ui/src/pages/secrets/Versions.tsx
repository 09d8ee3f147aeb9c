import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { allows, capabilities } from '../../api/queries'
import { Badge, Button, Check, Confirm, Loading, Menu, Problem, Select, Table, toast, type MenuEntry } from '../../kit'
import { When } from '../../kit/When'
import { Diff } from './Diff'
import { act, at, readSecret, secret as secretOf, writeSecret, type Kv, type Metadata, type VersionInfo } from './kv'

type Ask = { kind: 'destroy' | 'rollback'; version: number }

/** All versions of a secret: what became of each, two side by side, and what can be undone. */
export function Versions({ kv, path, meta, onOpen }: { kv: Kv; path: string; meta: Metadata; onOpen: (version: number) => void }) {
  const client = useQueryClient()
  const [ask, setAsk] = useState<Ask>()
  const paths = { data: at.data(kv, path), delete: at.action(kv, 'delete', path), undelete: at.action(kv, 'undelete', path), destroy: at.action(kv, 'destroy', path) }
  const { data: caps } = useQuery(capabilities(Object.values(paths)))
  const may = (p: string) => allows(caps?.[p], 'update')
  const rows = Object.entries(meta.versions).map(([v, info]) => ({ version: Number(v), ...info })).sort((a, b) => b.version - a.version)
  const changed = () => client.invalidateQueries({ queryKey: ['kv', kv.mount] })
  const run = (action: 'delete' | 'undelete', version: number) => act(kv, action, path, [version]).then(changed)
    .then(() => toast(`Version ${version} ${action}d.`), (e: unknown) => toast(e instanceof Error ? e.message : String(e), 'bad'))
  const rollback = async (version: number) => {
    const old = await readSecret(kv, path, version)
    await writeSecret(kv, path, old.data ?? {}, meta.current_version)
    await changed()
    toast(`Version ${version} is current again, as a new version.`)
  }
  const entries = (r: VersionInfo & { version: number }): MenuEntry[] => {
    const deleted = isDeleted(r)
    return [
      ...(!r.destroyed && !deleted ? [{ label: 'Show', icon: 'eye' as const, run: () => onOpen(r.version) }] : []),
      ...(!r.destroyed && !deleted && r.version !== meta.current_version && may(paths.data) ? [{ label: 'Make it current again', icon: 'undo' as const, run: () => setAsk({ kind: 'rollback', version: r.version }) }] : []),
      ...(deleted && !r.destroyed && may(paths.undelete) ? [{ label: 'Undelete', icon: 'undo' as const, run: () => void run('undelete', r.version) }] : []),
      ...(!deleted && !r.destroyed && may(paths.delete) ? [{ label: 'Delete', icon: 'trash' as const, run: () => void run('delete', r.version) }] : []),
      ...(!r.destroyed && may(paths.destroy) ? [{ label: 'Destroy for good', icon: 'trash' as const, bad: true, run: () => setAsk({ kind: 'destroy', version: r.version }) }] : []),
    ]
  }
  return (
    <div className="stack">
      <Compare kv={kv} path={path} versions={rows.filter((r) => !r.destroyed && !isDeleted(r)).map((r) => r.version)} />
      <div className="card">
        <Table label="Versions" rows={rows} id={(r) => String(r.version)} columns={[
          { head: 'Version', cell: (r) => <span className="row">{r.version}{r.version === meta.current_version && <Badge kind="accent">current</Badge>}{r.destroyed ? <Badge kind="bad">destroyed</Badge> : isDeleted(r) && <Badge kind="warn">deleted</Badge>}</span> },
          { head: 'Written', cell: (r) => <When at={r.created_time} /> },
          { head: 'Actions', hideHead: true, right: true, cell: (r) => { const e = entries(r); return e.length > 0 && <Menu label={`Version ${r.version}`} small entries={e} /> } },
        ]} />
      </div>
      {ask?.kind === 'destroy' && <Confirm title={`Destroy version ${ask.version}?`} action="Destroy" run={() => act(kv, 'destroy', path, [ask.version]).then(changed)} onClose={() => setAsk(undefined)}>Its data is gone for good: nothing can bring it back.</Confirm>}
      {ask?.kind === 'rollback' && <Confirm title={`Make version ${ask.version} current again?`} action="Roll back" look="primary" run={() => rollback(ask.version)} onClose={() => setAsk(undefined)}>Its data is written as version {meta.current_version + 1}; all versions stay as they are.</Confirm>}
    </div>
  )
}

const isDeleted = (v: VersionInfo) => v.deletion_time !== '' && Date.parse(v.deletion_time) <= Date.now()

function Compare({ kv, path, versions }: { kv: Kv; path: string; versions: number[] }) {
  const [from, setFrom] = useState<number>()
  const [to, setTo] = useState<number>()
  const [on, setOn] = useState(false)
  const [reveal, setReveal] = useState(false)
  const a = from ?? versions[1], b = to ?? versions[0]
  const left = useQuery({ ...secretOf(kv, path, a), enabled: on && a !== undefined })
  const right = useQuery({ ...secretOf(kv, path, b), enabled: on && b !== undefined })
  if (versions.length < 2 || a === undefined || b === undefined) return null
  if (!on) return <div><Button icon="list" onPress={() => setOn(true)}>Compare versions</Button></div>
  const options = versions.map((v) => ({ value: String(v), label: `Version ${v}` }))
  return (
    <div className="card pad stack">
      <div className="columns narrow"><Select label="Left" value={String(a)} onChange={(v) => setFrom(Number(v))} options={options} /><Select label="Right" value={String(b)} onChange={(v) => setTo(Number(v))} options={options} /></div>
      {left.error || right.error ? <Problem error={left.error ?? right.error} /> : left.data && right.data
        ? <Diff from={left.data.data ?? {}} to={right.data.data ?? {}} fromName={`Version ${a}`} toName={`Version ${b}`} reveal={reveal} /> : <Loading />}
      <div className="spread"><Check checked={reveal} onChange={setReveal}>Show values</Check><Button small onPress={() => setOn(false)}>Close</Button></div>
    </div>
  )
}
