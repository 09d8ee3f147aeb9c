import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { remove, write } from '../../api/client'
import { mounts, plugins, useMay } from '../../api/queries'
import { requestSchema } from '../../api/schema'
import { Badge, Button, Confirm, Dialog, Empty, Loading, Menu, PageHead, Problem, Select, Table, TextField, toast, type MenuEntry } from '../../kit'
import { ActForm, Loaded } from '../../kit/parts'
import { initial, SchemaForm, toBody, type Values } from '../../kit/SchemaForm'
import { kinds, settings } from './methods'

type Ask = { what: 'enable' } | { what: 'tune' | 'disable'; path: string }

/** The ways to log in. */
export default function Methods() {
  const client = useQueryClient()
  const found = useQuery(mounts)
  const [ask, setAsk] = useState<Ask>()
  const mayEnable = useMay('sys/auth/new', 'update', 'sudo')
  const mayTune = useMay('sys/auth/any/tune', 'update', 'sudo')
  const mayDisable = useMay('sys/auth/any', 'delete', 'sudo')
  const changed = () => client.invalidateQueries({ queryKey: ['mounts'] })
  const rows = Object.entries(found.data?.auth ?? {}).map(([path, m]) => ({ path: path.replace(/\/$/, ''), ...m })).sort((a, b) => a.path < b.path ? -1 : 1)
  const entries = (path: string): MenuEntry[] => [
    ...(mayTune ? [{ label: 'Tune…', icon: 'edit' as const, run: () => setAsk({ what: 'tune', path }) }] : []),
    ...(mayDisable && path !== 'token' ? [{ label: 'Disable…', icon: 'trash' as const, bad: true, run: () => setAsk({ what: 'disable', path }) }] : []),
  ]
  return <Loaded of={found}>{() => (
    <div>
      <PageHead title="Auth methods" about="The ways to log in. A method checks who someone is; its roles say what they get.">
        {mayEnable && <Button look="primary" icon="plus" onPress={() => setAsk({ what: 'enable' })} data-create>Enable method</Button>}
      </PageHead>
      <div className="card"><Table label="Auth methods" rows={rows} id={(r) => r.path} empty={<Empty icon="user" title="Nothing to see here"><p>Your policies grant nothing in any auth method.</p></Empty>} columns={[
        { head: 'Path', cell: (r) => <Link className="break" to="/auth/$mount" params={{ mount: r.path }}>{r.path}/</Link> },
        { head: 'Type', cell: (r) => <Badge>{r.type}</Badge> },
        { head: 'What for', cell: (r) => <span className="muted break">{r.description || kinds[r.type]?.about}</span> },
        { head: 'Actions', hideHead: true, right: true, cell: (r) => entries(r.path).length > 0 && <Menu small label={`More about ${r.path}`} entries={entries(r.path)} /> },
      ]} /></div>
      {ask?.what === 'enable' && <Enable onClose={() => setAsk(undefined)} onDone={changed} />}
      {ask?.what === 'tune' && <Tune path={ask.path} onClose={() => setAsk(undefined)} onDone={changed} />}
      {ask?.what === 'disable' && <Confirm title={`Disable ${ask.path}/?`} action="Disable" typed={ask.path} onClose={() => setAsk(undefined)} run={() => remove(`sys/auth/${ask.path}`).then(changed)}>
        Its roles and configuration are deleted, and every token that it gave ends at once. Nothing can bring them back.</Confirm>}
    </div>
  )}</Loaded>
}

function Enable({ onClose, onDone }: { onClose: () => void; onDone: () => Promise<void> }) {
  const { data: types, error } = useQuery(plugins)
  const [type, setType] = useState('kubernetes')
  const [path, setPath] = useState('')
  const [description, setDescription] = useState('')
  return (
    <Dialog title="Enable an auth method" onClose={onClose}>
      <ActForm action="Enable" cancel={onClose} onSubmit={async () => {
        const at = (path.trim() || type).replace(/^\/+|\/+$/g, '')
        await write(`sys/auth/${at}`, { type, description })
        await onDone()
        toast(`${at}/ enabled.`)
        onClose()
      }}>
        {types ? <Select label="Type" value={type} onChange={setType} options={types.auth.map((t) => ({ value: t, label: t }))} hint={kinds[type]?.about} />
          : error && <TextField label="Type" value={type} onChange={setType} hint={kinds[type]?.about ?? 'Your token may not see which types this server has.'} code />}
        <TextField label="Path" hint={`Where it stands; empty: ${type}/`} value={path} onChange={setPath} code />
        <TextField label="Description" value={description} onChange={setDescription} />
      </ActForm>
    </Dialog>
  )
}

const tunable = ['description', 'default_lease_ttl', 'max_lease_ttl', 'token_type', 'listing_visibility', 'audit_non_hmac_request_keys', 'audit_non_hmac_response_keys', 'passthrough_request_headers', 'allowed_response_headers']

function Tune({ path, onClose, onDone }: { path: string; onClose: () => void; onDone: () => Promise<void> }) {
  const client = useQueryClient()
  const { data: schema } = useQuery(requestSchema('/sys/auth/{path}'))
  const { data: now, error } = useQuery(settings(`sys/auth/${path}/tune`))
  const [typed, setTyped] = useState<Values>({})
  if (!schema || !now) return <Dialog title={`Tune ${path}/`} onClose={onClose}>{error ? <Problem error={error} /> : <Loading />}</Dialog>
  return (
    <Dialog title={`Tune ${path}/`} onClose={onClose}>
      <ActForm action="Save" cancel={onClose} onSubmit={async () => {
        await write(`sys/auth/${path}/tune`, toBody(schema, typed, now))
        await client.invalidateQueries({ queryKey: ['auth', `sys/auth/${path}/tune`] })
        await onDone()
        toast(`${path}/ tuned.`)
        onClose()
      }}>
        <SchemaForm schema={schema} values={{ ...initial(schema, now), ...typed }} onChange={(v) => setTyped(differing(v, initial(schema, now)))} only={tunable} />
      </ActForm>
    </Dialog>
  )
}

/** What of a form differs from what it began with. */
export const differing = (values: Values, from: Values): Values => Object.fromEntries(Object.entries(values).filter(([k, v]) => v !== from[k]))
