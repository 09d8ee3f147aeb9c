import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { list, read, remove, write } from '../../api/client'
import type { SysLeaseCount, SysQuotaConfig, SysRateLimit } from '../../api/generated'
import { useMay } from '../../api/queries'
import { requestSchema } from '../../api/schema'
import { Button, Confirm, Dialog, Empty, Loading, PageHead, Select, Table, TextField, toast } from '../../kit'
import { ActForm, Loaded, seconds, Tabs } from '../../kit/parts'
import { initial, SchemaForm, toBody, type Values } from '../../kit/SchemaForm'

type Kind = 'rate-limit' | 'lease-count'
type Quota = { name: string } & Partial<SysRateLimit> & Partial<SysLeaseCount>

const texts = {
  'rate-limit': { one: 'rate limit', many: 'Rate limits', none: 'A rate limit has the server refuse clients that ask too often, before they are in the way of others.', fields: ['path', 'rate', 'interval', 'block_interval', 'secondary_rate', 'role', 'inheritable'] },
  'lease-count': { one: 'lease limit', many: 'Lease limits', none: 'A lease limit keeps one client’s logins and credentials from filling the storage.', fields: ['path', 'max_leases', 'role', 'inheritable'] },
} as const
const groups: Record<string, string> = { ip: 'each address', none: 'everyone together', entity_then_ip: 'each entity, else each address', entity_then_none: 'each entity, else everyone together' }

/** How much clients may ask for. */
export default function Quotas() {
  const mayConfig = useMay('sys/quotas/config', 'read')
  return (
    <div>
      <PageHead title="Quotas" about="How often clients may ask, and how many leases they may have. The tightest rule that fits a request holds." />
      <Tabs label="About quotas" tabs={[
        { id: 'rate-limit', label: texts['rate-limit'].many, show: () => <List kind="rate-limit" /> },
        { id: 'lease-count', label: texts['lease-count'].many, show: () => <List kind="lease-count" /> },
        mayConfig && { id: 'config', label: 'Settings', show: () => <Config /> },
      ]} />
    </div>
  )
}

function List({ kind }: { kind: Kind }) {
  const client = useQueryClient()
  const found = useQuery({
    queryKey: ['quotas', kind],
    queryFn: async ({ signal }) => await Promise.all((await list(`sys/quotas/${kind}`, { signal })).map(async (n) => (await read<Quota>(`sys/quotas/${kind}/${n}`, { signal })).data)),
  })
  const [editing, edit] = useState<Quota | 'new'>()
  const [ending, end] = useState('')
  const may = useMay(`sys/quotas/${kind}/new`, 'update')
  const mayEnd = useMay(`sys/quotas/${kind}/any`, 'delete')
  const changed = () => client.invalidateQueries({ queryKey: ['quotas'] })
  const { one, many, none } = texts[kind]
  return <Loaded of={found}>{(data) => (
    <div className="card">
      <div className="card-head"><h2>{many}</h2>{may && <Button small icon="plus" onPress={() => edit('new')} data-create>Add a {one}</Button>}</div>
      <Table label={many} rows={data} id={(q) => q.name} empty={<Empty icon="chart" title={`No ${one} yet`}><p>{none}</p></Empty>} columns={[
        { head: 'Name', cell: (q) => may ? <button type="button" className="link" onClick={() => edit(q)}>{q.name}</button> : <span className="break">{q.name}</span> },
        { head: 'Limits', cell: (q) => <span><code className="break">{q.path || 'everything'}</code>{q.role && <span className="muted"> role {q.role}</span>}</span> },
        kind === 'rate-limit' ? { head: 'Allows', cell: (q) => `${q.rate} in ${seconds(q.interval ?? 1)}` } : { head: 'Leases', cell: (q) => `${q.counter?.toLocaleString('en') ?? 0} of ${q.max_leases?.toLocaleString('en')}` },
        ...(kind === 'rate-limit' ? [{ head: 'Counts', cell: (q: Quota) => groups[q.group_by ?? 'ip'] ?? q.group_by }] : []),
        { head: 'Actions', hideHead: true, right: true, cell: (q) => mayEnd && <Button small look="quiet" icon="trash" aria-label={`Delete ${q.name}`} onPress={() => end(q.name)} /> },
      ]} />
      {editing && <Form kind={kind} quota={editing === 'new' ? undefined : editing} onClose={() => edit(undefined)} onDone={changed} />}
      {ending && <Confirm title={`Delete ${ending}?`} action="Delete" onClose={() => end('')} run={() => remove(`sys/quotas/${kind}/${ending}`).then(changed)}>What it limited is free from the next request on.</Confirm>}
    </div>
  )}</Loaded>
}

function Form({ kind, quota, onClose, onDone }: { kind: Kind; quota?: Quota; onClose: () => void; onDone: () => Promise<void> }) {
  const described = useQuery(requestSchema(`/sys/quotas/${kind}/{name}`))
  const [name, setName] = useState(quota?.name ?? '')
  const [groupBy, setGroupBy] = useState(quota?.group_by ?? 'ip')
  const [typed, setTyped] = useState<Values>()
  const had = (quota ?? {}) as unknown as Record<string, unknown>
  return (
    <Dialog title={quota ? quota.name : `Add a ${texts[kind].one}`} onClose={onClose}>
      <Loaded of={described}>{(schema) => <ActForm action="Save" cancel={onClose} disabled={!name.trim()} onSubmit={async () => {
        const values = Object.fromEntries(Object.entries(typed ?? initial(schema, had)).filter(([n]) => (texts[kind].fields as readonly string[]).includes(n)))
        await write(`sys/quotas/${kind}/${name.trim()}`, { ...toBody(schema, values, had), ...(kind === 'rate-limit' && { group_by: groupBy }) })
        await onDone()
        toast(`${name.trim()} saved.`)
        onClose()
      }}>
        {!quota && <TextField label="Name" value={name} onChange={setName} code autoFocus required />}
        <SchemaForm schema={schema} values={typed ?? initial(schema, had)} onChange={setTyped} only={[...texts[kind].fields]} />
        {kind === 'rate-limit' && <Select label="Counted together" value={groupBy} onChange={setGroupBy} options={Object.entries(groups).map(([value, label]) => ({ value, label }))} />}
      </ActForm>}</Loaded>
    </Dialog>
  )
}

const settings = ['rate_limit_exempt_paths', 'enable_rate_limit_response_headers', 'enable_rate_limit_audit_logging']

function Config() {
  const client = useQueryClient()
  const { data: schema } = useQuery(requestSchema('/sys/quotas/config'))
  const found = useQuery({ queryKey: ['quotas', 'config'], refetchOnWindowFocus: false, queryFn: async ({ signal }) => (await read<SysQuotaConfig>('sys/quotas/config', { signal })).data as unknown as Record<string, unknown> })
  const [typed, setTyped] = useState<Values>()
  const may = useMay('sys/quotas/config', 'update')
  return <Loaded of={found}>{(now) => !schema ? <Loading /> : <div className="card pad">
    <ActForm action="Save" label="Settings" unsaved={!!typed} disabled={!may || !typed} onSubmit={async () => {
      await write('sys/quotas/config', toBody(schema, typed!, now))
      await client.invalidateQueries({ queryKey: ['quotas', 'config'] })
      setTyped(undefined)
      toast('Saved.')
    }}><SchemaForm schema={schema} values={typed ?? initial(schema, now)} onChange={setTyped} only={settings} /></ActForm>
  </div>}</Loaded>
}
