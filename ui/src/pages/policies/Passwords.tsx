import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { lazy, Suspense, useMemo, useState } from 'react'
import { list, read, remove, write } from '../../api/client'
import { isMissing } from '../../api/errors'
import type { SysGeneratedPassword, SysPasswordPolicyText } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, Confirm, CopyButton, Empty, Icon, Loading, Note, PageHead, Problem, Table, TextField, toast } from '../../kit'
import { ActForm, Card, Loaded, Trail } from '../../kit/parts'
import { useAct } from '../../kit/useAct'

const Editor = lazy(() => import('../../kit/Editor'))
const path = 'sys/policies/password'
const sample = 'length = 20\n\nrule "charset" {\n  charset   = "abcdefghijklmnopqrstuvwxyz"\n  min-chars = 1\n}\n\nrule "charset" {\n  charset   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"\n  min-chars = 1\n}\n\nrule "charset" {\n  charset   = "0123456789"\n  min-chars = 1\n}\n'

/** What generated passwords are made of, by name. */
export function PasswordList() {
  const found = useQuery({ queryKey: ['password-policies'], queryFn: ({ signal }) => list(path, { signal }) })
  const may = useMay(`${path}/new`, 'update')
  return <Loaded of={found}>{(names) => (
    <div className="card">
      <div className="card-head"><h2>Password policies</h2>{may && <Link className="button small" to="/policies/passwords/create"><Icon name="plus" />Create password policy</Link>}</div>
      <Table label="Password policies" rows={names} id={(n) => n} empty={<Empty icon="key" title="No password policies yet"><p>They say what passwords are made of that engines make for other systems: how long, of which characters.</p></Empty>} columns={[
        { head: 'Name', cell: (n) => <Link className="break" to="/policies/passwords/edit/$name" params={{ name: n }}>{n}</Link> },
      ]} />
    </div>
  )}</Loaded>
}

export function CreatePassword() { return <Form text={sample} /> }

export function EditPassword() {
  const { name = '' } = useParams({ strict: false })
  const found = useQuery({ queryKey: ['password-policies', name], refetchOnWindowFocus: false, queryFn: async ({ signal }) => (await read<SysPasswordPolicyText>(`${path}/${name}`, { signal })).data.policy })
  if (isMissing(found.error)) return <Empty icon="key" title="There is no such password policy"><p>It may have been deleted.</p></Empty>
  return <Loaded of={found}>{(text) => <Form key={name} name={name} text={text} />}</Loaded>
}

function Form({ name: old, text: before }: { name?: string; text: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const { data: hcl } = useQuery({ queryKey: ['hcl'], queryFn: () => import('../../kit/hcl'), staleTime: Infinity })
  const [name, setName] = useState(old ?? '')
  const [text, setText] = useState(before)
  const [base, setBase] = useState(before)
  const [deleting, setDeleting] = useState(false)
  const extensions = useMemo(() => hcl && [hcl.hcl], [hcl])
  const may = useMay(`${path}/${old ?? (name.trim() || 'new')}`, 'update')
  const mayDelete = useMay(old ? `${path}/${old}` : '', 'delete')
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Policies', link: { to: '/policies' } }]} />} title={old ?? 'Create a password policy'}>
        {mayDelete && <Button icon="trash" onPress={() => setDeleting(true)}>Delete</Button>}
      </PageHead>
      <div className="stack">
        <ActForm action={old ? 'Save' : 'Create'} label="Password policy" unsaved={text !== base || !old && !!name} disabled={!may || !name.trim() || !!old && text === base} onSubmit={async () => {
          await write(`${path}/${name.trim()}`, { policy: text })
          setBase(text)
          await client.invalidateQueries({ queryKey: ['password-policies'] })
          toast(`${name.trim()} saved.`)
          if (!old) void navigate({ to: '/policies/passwords/edit/$name', params: { name: name.trim() }, ignoreBlocker: true })
        }}>
          {!old && <TextField label="Name" value={name} onChange={setName} required code autoFocus />}
          {extensions ? <Suspense fallback={<Loading what="Loading the editor" />}><Editor label="Text of the password policy" value={text} onChange={setText} extensions={extensions} readOnly={!may} /></Suspense> : <Loading what="Loading the editor" />}
          {old && !may && <Note>Your token may read this, not change it.</Note>}
        </ActForm>
        {old && <Sample name={old} stale={text !== base} />}
      </div>
      {deleting && <Confirm title={`Delete the password policy ${old}?`} action="Delete" typed={old} onClose={() => setDeleting(false)} run={async () => {
        await remove(`${path}/${old}`)
        await client.invalidateQueries({ queryKey: ['password-policies'], refetchType: 'none' })
        void navigate({ to: '/policies', ignoreBlocker: true })
      }}>Whatever makes passwords by it fails from then on.</Confirm>}
    </div>
  )
}

/** A password as the saved policy makes them; it is kept nowhere. */
function Sample({ name, stale }: { name: string; stale: boolean }) {
  const [made, setMade] = useState<string>()
  const act = useAct()
  const may = useMay(`${path}/${name}/generate`, 'read')
  if (!may) return null
  return (
    <Card title="A sample" actions={<Button small icon="refresh" busy={act.busy} onPress={() => void act.run(async () => setMade((await read<SysGeneratedPassword>(`${path}/${name}/generate`)).data.password))}>Generate a sample</Button>}>
      {act.problem !== undefined && <Problem error={act.problem} />}
      {made === undefined ? <p className="muted">A password as this policy makes them. It is kept nowhere.</p> : <div className="row" role="status"><code className="break">{made}</code><CopyButton text={made} what="sample" secret /></div>}
      {stale && <p className="small muted">Samples are of the policy as it was saved last.</p>}
    </Card>
  )
}
