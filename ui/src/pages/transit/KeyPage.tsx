import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { remove, write } from '../../api/client'
import { isMissing } from '../../api/errors'
import { useMay } from '../../api/queries'
import { requestSchema } from '../../api/schema'
import { Badge, Button, Confirm, Empty, PageHead, Table, toast } from '../../kit'
import { ActForm, Card, Facts, Loaded, seconds, Tabs, Trail } from '../../kit/parts'
import { initial, SchemaForm, toBody, type Values } from '../../kit/SchemaForm'
import { When } from '../../kit/When'
import { key, type Key } from './transit'
import { Use, uses } from './Use'

/** One key: what it is, what it does, and how it may be used. */
export function KeyPage({ mount, name }: { mount: string; name: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const found = useQuery(key(mount, name))
  const [ask, setAsk] = useState<'rotate' | 'delete'>()
  const mayRotate = useMay(`${mount}keys/${name}/rotate`, 'update')
  const mayTune = useMay(`${mount}keys/${name}/config`, 'update')
  const mayDelete = useMay(`${mount}keys/${name}`, 'delete')
  const changed = () => client.invalidateQueries({ queryKey: ['transit', mount] })
  if (isMissing(found.error)) return <Empty icon="key" title="There is no such key"><p>It may have been deleted.</p></Empty>
  return <Loaded of={found}>{(data) => (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Secrets', link: { to: '/secrets' } }, { label: mount, link: { to: '/secrets/$mount/list/$', params: { mount, _splat: '' } } }]} />} title={name} about={<span className="row"><Badge>{data.type}</Badge>version {data.latest_version}</span>}>
        {mayRotate && <Button icon="refresh" onPress={() => setAsk('rotate')}>Rotate…</Button>}
        {mayDelete && data.deletion_allowed && <Button icon="trash" onPress={() => setAsk('delete')}>Delete</Button>}
      </PageHead>
      <Tabs label="About this key" tabs={[
        uses(data).length > 0 && { id: 'use', label: 'Use it', show: () => <Use mount={mount} of={data} /> },
        { id: 'versions', label: 'Versions', show: () => <Versions of={data} /> },
        mayTune && { id: 'config', label: 'Configuration', show: () => <Config mount={mount} of={data} onDone={changed} /> },
      ]} />
      {ask === 'rotate' && <Confirm title={`Rotate ${name}?`} action="Rotate" look="primary" onClose={() => setAsk(undefined)} run={() => write(`${mount}keys/${name}/rotate`).then(changed).then(() => toast('Rotated.'))}>
        A new version encrypts and signs from now on. Older ones still decrypt and verify.</Confirm>}
      {ask === 'delete' && <Confirm title={`Delete ${name}?`} action="Delete" typed={name} onClose={() => setAsk(undefined)} run={async () => {
        await remove(`${mount}keys/${name}`)
        await client.invalidateQueries({ queryKey: ['transit', mount], refetchType: 'none' })
        void navigate({ to: '/secrets/$mount/list/$', params: { mount, _splat: '' } })
      }}>Whatever it encrypted can never be decrypted again, by anyone.</Confirm>}
    </div>
  )}</Loaded>
}

function Versions({ of }: { of: Key }) {
  const rows = Object.entries(of.keys).map(([v, k]) => ({ v: Number(v), at: typeof k === 'number' ? k * 1000 : k.creation_time, pub: typeof k === 'number' ? undefined : k.public_key })).sort((a, b) => b.v - a.v)
  return (
    <div className="stack">
      <Card title="About this key"><Facts of={[['Decrypts from', `version ${of.min_decryption_version}`], ['Encrypts from', of.min_encryption_version ? `version ${of.min_encryption_version}` : 'the latest'], ['Rotates', of.auto_rotate_period ? `every ${seconds(of.auto_rotate_period)}` : 'when told to'],
        ['Derived', of.derived ? 'a key for each context' : 'no'], ['Exportable', of.exportable ? 'yes' : 'no'], ['May be deleted', of.deletion_allowed ? 'yes' : 'no']]} /></Card>
      <Card title="Versions" flush><Table label="Versions" rows={rows} id={(r) => String(r.v)} columns={[
        { head: 'Version', cell: (r) => r.v }, { head: 'Made', cell: (r) => <When at={r.at} /> }, { head: 'Public key', cell: (r) => r.pub ? <code className="break small">{r.pub}</code> : '—' },
      ]} /></Card>
    </div>
  )
}

function Config({ mount, of, onDone }: { mount: string; of: Key; onDone: () => Promise<void> }) {
  const path = `${mount}keys/${of.name}/config`
  const described = useQuery(requestSchema(`/${mount}keys/{name}/config`))
  const [typed, setTyped] = useState<Values>()
  const had = of as unknown as Record<string, unknown>
  return <Loaded of={described}>{(schema) => <div className="card pad"><ActForm action="Save" disabled={!typed} onSubmit={async () => {
    await write(path, toBody(schema, typed!, had))
    await onDone()
    setTyped(undefined)
    toast('Saved.')
  }}><div className="form-grid"><SchemaForm schema={schema} values={typed ?? initial(schema, had)} onChange={setTyped} /></div></ActForm></div>}</Loaded>
}
