import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { remove, write } from '../../api/client'
import { isMissing } from '../../api/errors'
import { allows, capabilities, useMay } from '../../api/queries'
import { requestSchema, type Schema } from '../../api/schema'
import { Button, Confirm, Empty, Note, PageHead, TextArea, TextField, toast } from '../../kit'
import { ActForm, Facts, Loaded, seconds, Trail } from '../../kit/parts'
import { current, initial, SchemaForm, toBody, words, type Values } from '../../kit/SchemaForm'
import { Kept, Lent } from './Credentials'
import { examples, isStatements, one, type Kind, type Settings } from './database'

// Of one kind only, or without a choice here.
const left = ['name', 'plugin_name', 'plugin_version', 'auth_type', 'service_account_json', 'credential_type', 'credential_config']

/** A connection, a role or a static role, with what may be done with it; without a name a new one. The form is what the server says that its write takes. */
export function Item({ mount, kind, name }: { mount: string; kind: Kind; name: string }) {
  const { data: caps } = useQuery({ ...capabilities([`${mount}${kind.id}/${name || 'new'}`]), select: (c) => Object.values(c)[0] })
  const may = allows(caps, name ? 'update' : 'create')
  const described = useQuery({ ...requestSchema(`/${mount}${kind.id}/{name}`), enabled: may })
  const found = useQuery({ ...one(mount, kind, name), enabled: !!name })
  const trail = <Trail steps={[{ label: 'Secrets', link: { to: '/secrets' } }, { label: mount, link: { to: '/secrets/$mount/list/$', params: { mount, _splat: '' } } }]} />
  if (isMissing(found.error)) return <Empty icon="server" title={`There is no such ${kind.one}`}><p>It may have been deleted.</p></Empty>
  return (
    <div>
      <PageHead above={trail} title={name || `Create a ${kind.one}`} about={name ? kind.one : kind.about}>{name && <Actions mount={mount} kind={kind} name={name} />}</PageHead>
      <div className="stack">
        {name && kind.id === 'roles' && <Lent mount={mount} role={name} />}
        {name && kind.id === 'static-roles' && <Kept mount={mount} role={name} />}
        {caps && !may ? <>
          <Note>Your token may {name ? `read this ${kind.one}, not change it` : `not create a ${kind.one}`}.</Note>
          {name && <Loaded of={found}>{(had) => <div className="card pad"><Facts of={Object.entries(had).map(([n, v]) => [words(n), shown(n, v)])} /></div>}</Loaded>}
        </> : <Loaded of={described}>{(schema) => name ? <Loaded of={found}>{(had) => <Form mount={mount} kind={kind} name={name} schema={schema} had={had} />}</Loaded>
          : <Form mount={mount} kind={kind} name="" schema={schema} had={{}} />}</Loaded>}
      </div>
    </div>
  )
}

const shown = (name: string, v: unknown) => v === null || v === '' || (Array.isArray(v) && v.length === 0) ? undefined
  : isStatements(name) || name === 'connection_url' ? <code className="break">{String(v)}</code> : /_ttl$|_period$|_window$/.test(name) && typeof v === 'number' ? seconds(v) : Array.isArray(v) ? v.join(', ') : String(v)

function Form({ mount, kind, name, schema, had }: { mount: string; kind: Kind; name: string; schema: Schema; had: Settings }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const [typed, setTyped] = useState<Values>()
  const [called, setCalled] = useState('')
  const { data: caps } = useQuery({ ...capabilities([`${mount}${kind.id}/${name || called.trim() || 'new'}`]), select: (c) => Object.values(c)[0] })
  const may = allows(caps, name ? 'update' : 'create')
  const fields = current(schema).filter((f) => !left.includes(f))
  const first = kind.first.filter((f) => fields.includes(f))
  const rest = fields.filter((f) => !first.includes(f))
  const values = typed ?? initial(schema, name ? had : { ...kind.create, ...examples[kind.id] })
  const show = (names: string[]) => <Fields schema={schema} values={values} onChange={setTyped} names={names} />
  const save = async () => {
    const answer = await write(`${mount}${kind.id}/${name || called.trim()}`, { ...(name ? {} : kind.create), ...toBody(schema, Object.fromEntries(Object.entries(values).filter(([f]) => fields.includes(f))), had) })
    await client.invalidateQueries({ queryKey: ['database', mount] })
    answer?.warnings?.forEach((w) => toast(w))
    toast(`${name || called.trim()} ${name ? 'saved' : 'created'}.`)
    if (name) setTyped(undefined)
    else void navigate({ to: '/secrets/$mount/show/$', params: { mount, _splat: `${kind.id}/${called.trim()}` }, ignoreBlocker: true })
  }
  return (
    <div className="card pad">
      <ActForm action={name ? 'Save' : 'Create'} label={kind.one} unsaved={!!typed || !!called} disabled={!may || (!name && !called.trim()) || (!!name && !typed)} onSubmit={save}>
        {!name && <TextField label="Name" value={called} onChange={setCalled} code required autoFocus />}
        {show(first)}
        {rest.length > 0 && <details className="fold"><summary>{rest.length} more settings</summary>{show(rest)}</details>}
      </ActForm>
    </div>
  )
}

/** Statements take lines of their own; the rest is as everywhere. */
function Fields({ schema, values, onChange, names }: { schema: Schema; values: Values; onChange: (v: Values) => void; names: string[] }) {
  return (
    <>
      <div className="form-grid"><SchemaForm schema={schema} values={values} onChange={onChange} only={names.filter((n) => !isStatements(n))} /></div>
      {names.filter(isStatements).map((n) => (
        <TextArea key={n} label={words(n)} hint={schema.properties[n]?.description} rows={3} code value={values[n] ?? ''} onChange={(v) => onChange({ ...values, [n]: v })} />
      ))}
    </>
  )
}

const rotations: Record<string, { path: string; text: string } | undefined> = {
  config: { path: 'rotate-root', text: 'The user of the connection gets a password that only this server knows, and nobody is shown. Whatever else logs in as that user is locked out.' },
  'static-roles': { path: 'rotate-role', text: 'The user gets a new password now. Programs that have the old one must read the new one.' },
}

function Actions({ mount, kind, name }: { mount: string; kind: Kind; name: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const [ask, setAsk] = useState<'rotate' | 'delete'>()
  const rotation = rotations[kind.id]
  const mayRotate = useMay(rotation ? `${mount}${rotation.path}/${name}` : '', 'update')
  const mayReset = useMay(kind.id === 'config' ? `${mount}reset/${name}` : '', 'update')
  const mayDelete = useMay(`${mount}${kind.id}/${name}`, 'delete')
  const changed = () => client.invalidateQueries({ queryKey: ['database', mount] })
  const [busy, setBusy] = useState(false)
  const reset = async () => {
    setBusy(true)
    await write(`${mount}reset/${name}`).then(() => toast('Connected anew.'), (e: Error) => toast(e.message, 'bad'))
    setBusy(false)
  }
  return (
    <>
      {mayReset && <Button busy={busy} onPress={() => void reset()}>Connect anew</Button>}
      {mayRotate && <Button icon="refresh" onPress={() => setAsk('rotate')}>Rotate password…</Button>}
      {mayDelete && <Button icon="trash" onPress={() => setAsk('delete')}>Delete</Button>}
      {ask === 'rotate' && rotation && <Confirm title={`Rotate the password of ${name}?`} action="Rotate" look="primary" onClose={() => setAsk(undefined)} run={() => write(`${mount}${rotation.path}/${name}`).then(changed).then(() => toast('Rotated.'))}>{rotation.text}</Confirm>}
      {ask === 'delete' && <Confirm title={`Delete ${name}?`} action="Delete" typed={name} onClose={() => setAsk(undefined)} run={async () => {
        await remove(`${mount}${kind.id}/${name}`)
        await client.invalidateQueries({ queryKey: ['database', mount], refetchType: 'none' })
        void navigate({ to: '/secrets/$mount/list/$', params: { mount, _splat: '' }, ignoreBlocker: true })
      }}>{{ config: 'Users that were made by it cannot be dropped while it is gone; their leases wait.', roles: 'Users that were made for it stay until their leases end.', 'static-roles': 'Its user stays, with the password that it has, which nobody is shown any more.' }[kind.id]}</Confirm>}
    </>
  )
}
