import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { list, raw, read, remove, write } from '../../api/client'
import type { SysSnapshotPlan, SysSnapshotPlanStatus } from '../../api/generated'
import { useMay } from '../../api/queries'
import { requestSchema } from '../../api/schema'
import { Badge, Button, Check, Confirm, Dialog, Empty, Loading, Note, Problem, Table, TextField, toast } from '../../kit'
import { ActForm, bytes, Card, Loaded, seconds } from '../../kit/parts'
import { initial, SchemaForm, toBody, type Values } from '../../kit/SchemaForm'
import { useAct } from '../../kit/useAct'
import { When } from '../../kit/When'

const path = 'sys/storage/raft/snapshot'

/** Copies of everything: encrypted as it is stored, so that only the unseal keys open one. */
export function Snapshots({ mayTake, mayPlan }: { mayTake: boolean; mayPlan: boolean }) {
  const mayRestore = useMay(path, 'update')
  return (
    <div className="stack">
      {mayTake && <Take />}
      {mayPlan && <Plans />}
      {mayRestore && <Restore />}
    </div>
  )
}

function Take() {
  const act = useAct()
  const take = () => act.run(async () => {
    const blob = await (await raw('GET', path)).blob()
    const url = URL.createObjectURL(blob)
    const a = document.createElement('a')
    a.href = url
    a.download = `strongroom-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.snap`
    a.click()
    URL.revokeObjectURL(url)
    toast(`Snapshot taken: ${bytes(blob.size)}.`)
  })
  return (
    <Card title="Take one now" actions={<Button look="primary" icon="download" busy={act.busy} onPress={() => void take()}>Take a snapshot</Button>}>
      <p className="muted">All data at one moment, encrypted as it is stored: whoever has the file still needs the unseal keys. Keep both, in different places.</p>
      {act.problem !== undefined && <Problem error={act.problem} />}
    </Card>
  )
}

function Restore() {
  const client = useQueryClient()
  const [file, setFile] = useState<File>()
  const [force, setForce] = useState(false)
  const [sure, setSure] = useState(false)
  const mayForce = useMay(path + '-force', 'update')
  return (
    <Card title="Restore one">
      <p className="muted">Everything written since the snapshot was taken is lost, tokens and leases too. The nodes may seal themselves, and you may have to sign in again.</p>
      <div className="field"><label htmlFor="snapshot-file">Snapshot file</label><input id="snapshot-file" type="file" className="input" onChange={(e) => setFile(e.target.files?.[0])} /></div>
      {mayForce && <Check checked={force} onChange={setForce}>It is of another cluster<span className="muted small"><br />Then the unseal keys of that cluster are needed from here on.</span></Check>}
      <div><Button look="danger" isDisabled={!file} onPress={() => setSure(true)}>Restore…</Button></div>
      {sure && file && <Confirm title={`Restore ${file.name}?`} action="Restore" typed="restore" onClose={() => setSure(false)} run={async () => {
        await raw('POST', force ? path + '-force' : path, { file, headers: { 'Content-Type': 'application/octet-stream' } })
        toast('Restored.')
        setFile(undefined)
        void client.invalidateQueries()
      }}>All data of this cluster is replaced by {bytes(file.size)} of that file. Take a snapshot first, if there is anything to lose.</Confirm>}
    </Card>
  )
}

const never = (time: string) => !time || time.startsWith('0001')

function Plans() {
  const client = useQueryClient()
  const found = useQuery({
    queryKey: ['snapshots'], refetchInterval: 10_000,
    queryFn: async ({ signal }) => await Promise.all((await list(`${path}-auto/config`, { signal })).map(async (name) => ({
      name, plan: (await read<SysSnapshotPlan>(`${path}-auto/config/${name}`, { signal })).data,
      state: await read<SysSnapshotPlanStatus>(`${path}-auto/status/${name}`, { signal }).then((s) => s.data, () => undefined),
    }))),
  })
  const [editing, edit] = useState<{ name: string; plan?: SysSnapshotPlan }>()
  const [ending, end] = useState('')
  const may = useMay(`${path}-auto/config/new`, 'update', 'sudo')
  const changed = () => client.invalidateQueries({ queryKey: ['snapshots'] })
  return <Loaded of={found}>{(data) => (
    <Card title="Schedules" flush actions={may && <Button small icon="plus" onPress={() => edit({ name: '' })}>Add a schedule</Button>}>
      <Table label="Schedules" rows={data} id={(r) => r.name} empty={<Empty icon="camera" title="No snapshots by themselves"><p>A schedule writes them into a folder of the leader, and keeps the last few.</p></Empty>} columns={[
        { head: 'Name', cell: (r) => may ? <button type="button" className="link" onClick={() => edit(r)}>{r.name}</button> : r.name },
        { head: 'Every', cell: (r) => seconds(r.plan.interval) },
        { head: 'Into', cell: (r) => <span className="break mono">{r.plan.path_prefix}</span> },
        { head: 'Keeps', cell: (r) => r.plan.retain },
        { head: 'Last', cell: (r) => !r.state ? '—' : r.state.last_snapshot_error ? <span><Badge kind="bad">failed</Badge> <span className="small break">{r.state.last_snapshot_error}</span></span> : never(r.state.last_snapshot_end) ? <span className="muted">none yet</span> : <When at={r.state.last_snapshot_end} /> },
        { head: 'Next', cell: (r) => r.state && !never(r.state.next_snapshot_start) ? <When at={r.state.next_snapshot_start} /> : '—' },
        { head: 'Actions', hideHead: true, right: true, cell: (r) => may && <Button small look="quiet" icon="trash" aria-label={`Delete ${r.name}`} onPress={() => end(r.name)} /> },
      ]} />
      {editing && <PlanForm {...editing} onClose={() => edit(undefined)} onDone={changed} />}
      {ending && <Confirm title={`Delete the schedule ${ending}?`} action="Delete" onClose={() => end('')} run={() => remove(`${path}-auto/config/${ending}`).then(changed)}>The snapshots that it took stay where they are.</Confirm>}
    </Card>
  )}</Loaded>
}

function PlanForm({ name, plan, onClose, onDone }: { name: string; plan?: SysSnapshotPlan; onClose: () => void; onDone: () => Promise<void> }) {
  const { data: schema, error } = useQuery(requestSchema(`/${path}-auto/config/{name}`))
  const [called, setCalled] = useState(name)
  const [typed, setTyped] = useState<Values>()
  const had = { ...(plan ?? { interval: '24h', retain: 7, path_prefix: '', file_prefix: '' }), storage_type: 'local' }
  return (
    <Dialog title={name || 'Add a schedule'} onClose={onClose}>
      {error ? <Problem error={error} /> : !schema ? <Loading /> : <ActForm action="Save" cancel={onClose} disabled={!called.trim()} onSubmit={async () => {
        await write(`${path}-auto/config/${called.trim()}`, toBody(schema, typed ?? initial(schema, had), had))
        await onDone()
        onClose()
      }}>
        {!name && <TextField label="Name" value={called} onChange={setCalled} code required autoFocus />}
        <SchemaForm schema={schema} values={typed ?? initial(schema, had)} onChange={setTyped} only={['interval', 'path_prefix', 'retain', 'file_prefix', 'local_max_space']} />
        {!plan && <Note>The first snapshot is taken at once.</Note>}
      </ActForm>}
    </Dialog>
  )
}
