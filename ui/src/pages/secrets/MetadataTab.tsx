import { useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import { write } from '../../api/client'
import { useMay } from '../../api/queries'
import { Badge, Button, Check, Empty, Problem, TextField, toast } from '../../kit'
import { When } from '../../kit/When'
import { newRow, type Row } from './Form'
import { at, type Kv, type Metadata } from './kv'

/** What is known about a secret besides its values; all of it is readable without reading them. */
export function MetadataTab({ kv, path, meta }: { kv: Kv; path: string; meta: Metadata }) {
  const may = useMay(at.metadata(kv, path), 'update')
  const [edit, setEdit] = useState(false)
  if (edit) return <MetadataForm kv={kv} path={path} meta={meta} onDone={() => setEdit(false)} />
  const custom = Object.entries(meta.custom_metadata ?? {})
  return (
    <div className="stack">
      <section className="card" aria-label="Custom metadata">
        <div className="card-head"><h2>Custom metadata</h2>{may && <Button small icon="edit" onPress={() => setEdit(true)}>Edit</Button>}</div>
        {custom.length === 0 ? <Empty icon="list" title="None"><p>Owners, links, reminders: notes that are not secret.</p></Empty>
          : <dl className="pairs">{custom.map(([k, v]) => <div key={k}><dt>{k}</dt><dd className="break">{v}</dd></div>)}</dl>}
      </section>
      <section className="card pad" aria-label="Settings">
        <dl className="facts">
          <dt>Created</dt><dd><When at={meta.created_time} /></dd>
          <dt>Last written</dt><dd><When at={meta.updated_time} /></dd>
          <dt>Versions kept</dt><dd>{meta.max_versions || 'as the engine says'}</dd>
          <dt>Check before write</dt><dd>{meta.cas_required ? <Badge kind="good">required</Badge> : 'as the engine says'}</dd>
          <dt>Deleted after</dt><dd>{meta.delete_version_after === '0s' ? 'never' : meta.delete_version_after}</dd>
        </dl>
      </section>
    </div>
  )
}

function MetadataForm({ kv, path, meta, onDone }: { kv: Kv; path: string; meta: Metadata; onDone: () => void }) {
  const client = useQueryClient()
  const [rows, setRows] = useState<Row[]>(() => [...Object.entries(meta.custom_metadata ?? {}).map(([k, v]) => newRow(k, v)), newRow()])
  const [max, setMax] = useState(String(meta.max_versions))
  const [after, setAfter] = useState(meta.delete_version_after)
  const [cas, setCas] = useState(meta.cas_required)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const change = (id: number, part: Partial<Row>) => setRows((all) => all.map((r) => r.id === id ? { ...r, ...part } : r))
  const submit = async (e: FormEvent) => {
    e.preventDefault()
    setBusy(true)
    try {
      const custom = Object.fromEntries(rows.filter((r) => r.key).map((r) => [r.key, r.value]))
      await write(at.metadata(kv, path), { custom_metadata: custom, max_versions: Number(max), cas_required: cas, delete_version_after: after })
      await client.invalidateQueries({ queryKey: ['kv', kv.mount, 'metadata'] })
      toast('Metadata saved.')
      onDone()
    } catch (e) { setProblem(e); setBusy(false) }
  }
  return (
    <form className="card pad stack" onSubmit={submit} aria-label="Metadata">
      <h2>Custom metadata</h2>
      <div className="rows">
        {rows.map((r, i) => (
          <div className="pair" key={r.id}>
            <input className="input" aria-label={`Metadata key ${i + 1}`} placeholder="owner" value={r.key} onChange={(e) => change(r.id, { key: e.target.value })} />
            <input className="input" aria-label={`Metadata value ${i + 1}`} placeholder="team-storage" value={r.value} onChange={(e) => change(r.id, { value: e.target.value })} />
            <Button look="quiet" icon="trash" aria-label={`Remove ${r.key || 'row ' + (i + 1)}`} onPress={() => setRows((all) => all.filter((o) => o.id !== r.id))} />
          </div>
        ))}
        <div><Button small icon="plus" onPress={() => setRows((all) => [...all, newRow()])}>Add a line</Button></div>
      </div>
      <div className="columns">
        <TextField label="Versions kept" type="number" min={0} hint="0: as the engine says." value={max} onChange={setMax} />
        <TextField label="Delete versions after" hint="Such as 720h; 0s: never." value={after} onChange={setAfter} code />
      </div>
      <Check checked={cas} onChange={setCas}>Writers must say which version they saw</Check>
      {problem !== undefined && <Problem error={problem} />}
      <div className="row"><Button type="submit" look="primary" busy={busy}>Save</Button><Button onPress={onDone}>Cancel</Button></div>
    </form>
  )
}
