import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { remove, write } from '../../api/client'
import { allows, capabilities } from '../../api/queries'
import { requestSchema } from '../../api/schema'
import { Button, Confirm, Empty, Loading, Note, PageHead, Problem, TextField, toast } from '../../kit'
import { ActForm, Trail } from '../../kit/parts'
import { current, initial, SchemaForm, toBody, type Values } from '../../kit/SchemaForm'
import { AppRole } from './AppRole'
import { settings, tokenFields, useMethod } from './methods'

/** A role, user or certificate of a method: the form is what the server says that its write takes. */
export function EditItem() {
  const { mount = '', name = '' } = useParams({ strict: false })
  return <Item key={name} at={mount} name={name} />
}

export function CreateItem() {
  const { mount = '' } = useParams({ strict: false })
  return <Item at={mount} />
}

function Item({ at, name }: { at: string; name?: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const { mount, kind, error: failed } = useMethod(at)
  const items = kind?.items
  const base = `auth/${at}/${items?.path}`
  const [typed, setTyped] = useState<Values>()
  const [called, setCalled] = useState('')
  const [deleting, setDeleting] = useState(false)
  const described = useQuery({ ...requestSchema(`/${base}/${items?.param}`), enabled: !!items })
  const found = useQuery({ ...settings(`${base}/${name}`), enabled: !!items && !!name })
  const { data: caps } = useQuery({ ...capabilities([`${base}/${name ?? (called.trim() || 'new')}`]), enabled: !!items, select: (c) => Object.values(c)[0] })
  const schema = described.data, now = found.data
  if (!items || !schema || (name && now === undefined)) {
    const trouble = failed ?? described.error ?? found.error
    return trouble ? <Problem error={trouble} retry={() => void (described.error ? described : found).refetch()} /> : <Loading />
  }
  if (name && now === null) return <Empty icon="user" title={`There is no such ${items.one}`}><p>It may have been deleted.</p></Empty>

  const had = now ?? {}
  const fields = current(schema).filter((f) => !(name && f === 'role_id'))
  const first = [...items.first, ...tokenFields].filter((f) => fields.includes(f))
  const rest = fields.filter((f) => !first.includes(f))
  const values = typed ?? initial(schema, had)
  const may = allows(caps, name ? 'update' : 'create')
  const changed = () => client.invalidateQueries({ queryKey: ['auth'] })
  const save = async () => {
    const answer = await write(`${base}/${name ?? called.trim()}`, toBody(schema, values, had))
    await changed()
    answer?.warnings?.forEach((w) => toast(w))
    toast(`${name ?? called.trim()} saved.`)
    if (name) setTyped(undefined)
    else void navigate({ to: '/auth/$mount/edit/$name', params: { mount: at, name: called.trim() }, ignoreBlocker: true })
  }
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Auth methods', link: { to: '/auth' } }, { label: at + '/', link: { to: '/auth/$mount', params: { mount: at } } }]} />} title={name ?? `Create a ${items.one}`}>
        {name && allows(caps, 'delete') && <Button icon="trash" onPress={() => setDeleting(true)}>Delete</Button>}
      </PageHead>
      <div className="stack">
        {name && mount?.type === 'approle' && <AppRole at={at} role={name} />}
        <div className="card pad">
          <ActForm action={name ? 'Save' : 'Create'} label={items.one} unsaved={!!typed || !!called} disabled={!may || (!name && !called.trim()) || (!!name && !typed)} onSubmit={save}>
            {!name && <TextField label="Name" value={called} onChange={setCalled} code required autoFocus />}
            <div className="form-grid"><SchemaForm schema={schema} values={values} onChange={setTyped} only={first} /></div>
            {rest.length > 0 && <details className="fold"><summary>{rest.length} more settings</summary><div className="form-grid"><SchemaForm schema={schema} values={values} onChange={setTyped} only={rest} /></div></details>}
            {name && caps && !may && <Note>Your token may read this {items.one}, not change it.</Note>}
          </ActForm>
        </div>
      </div>
      {deleting && <Confirm title={`Delete ${name}?`} action="Delete" typed={name} onClose={() => setDeleting(false)} run={async () => {
        await remove(`${base}/${name}`)
        await client.invalidateQueries({ queryKey: ['auth'], refetchType: 'none' })
        void navigate({ to: '/auth/$mount', params: { mount: at }, ignoreBlocker: true })
      }}>Nobody can log in by it any more. Tokens that it gave live on until they expire or are revoked.</Confirm>}
    </div>
  )
}
