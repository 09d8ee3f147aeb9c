import type { EditorView } from '@codemirror/view'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { lazy, Suspense, useMemo, useRef, useState, type FormEvent } from 'react'
import { remove } from '../../api/client'
import { isMissing } from '../../api/errors'
import { useMay } from '../../api/queries'
import { Button, Confirm, Empty, Loading, Note, PageHead, Problem, TextField, toast } from '../../kit'
import { Trail, Unsaved } from '../../kit/parts'
import { useAct } from '../../kit/useAct'
import { faults, knownPaths, names, policy, policyText, savePolicy } from './policies'

const Editor = lazy(() => import('../../kit/Editor'))
const loadHcl = () => import('../../kit/hcl')

const sample = '# What may be done where. "*" at the end stands for anything, "+" for one part of a path.\npath "secret/data/my-app/*" {\n  capabilities = ["read"]\n}\n'

/** A policy that is there. */
export function EditPolicy() {
  const { name = '' } = useParams({ strict: false })
  const { data, error, refetch } = useQuery({ ...policy(name), refetchOnWindowFocus: false })
  if (data !== undefined) return <Form key={name} name={name} text={data} />
  if (isMissing(error)) return <Empty icon="shield" title="There is no such policy"><p>It may have been deleted.</p></Empty>
  return error ? <Problem error={error} retry={() => void refetch()} /> : <Loading />
}

/** A new one. */
export function CreatePolicy() { return <Form text={sample} /> }

function Form({ name: old, text: before }: { name?: string; text: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const { data: known } = useQuery(knownPaths)
  const { data: have } = useQuery({ ...names, enabled: !old })
  const { data: hcl } = useQuery({ queryKey: ['hcl'], queryFn: loadHcl, staleTime: Infinity })
  const [name, setName] = useState(old ?? '')
  const [text, setText] = useState(before)
  const [base, setBase] = useState(before)
  const [changed, setChanged] = useState<string>()
  const [deleting, setDeleting] = useState(false)
  const view = useRef<EditorView>(undefined)
  const paths = useRef(known)
  paths.current = known
  const act = useAct()
  const maySave = useMay(name ? `sys/policies/acl/${name}` : '', 'update')
  const mayDelete = useMay(old ? `sys/policies/acl/${old}` : '', 'delete')
  const extensions = useMemo(() => hcl && [hcl.hcl, hcl.completePolicy(() => paths.current ?? []), hcl.marks], [hcl])
  const exists = !old && !!have?.includes(name.trim().toLowerCase())

  const save = async (over = false) => {
    if (view.current && hcl) hcl.mark(view.current, [])
    await act.run(async () => {
      const now = old ? await policyText(old).catch((e) => { if (isMissing(e)) return base; throw e }) : base
      if (now !== base && !over) return setChanged(now)
      try {
        await savePolicy(name.trim(), text)
      } catch (e) {
        if (view.current && hcl) hcl.mark(view.current, faults(e))
        throw e
      }
      setBase(text)
      setChanged(undefined)
      await client.invalidateQueries({ queryKey: ['policies'] })
      await client.invalidateQueries({ queryKey: ['capabilities'] })
      toast(`Policy ${name.trim()} saved. It holds from the next request on.`)
      if (!old) void navigate({ to: '/policies/edit/$name', params: { name: name.trim().toLowerCase() }, ignoreBlocker: true })
    })
  }
  const dirty = text !== base
  const submit = (e: FormEvent) => { e.preventDefault(); void save() }
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Policies', link: { to: '/policies' } }]} />} title={old ?? 'Create a policy'}>
        {mayDelete && old !== 'default' && <Button icon="trash" onPress={() => setDeleting(true)}>Delete</Button>}
      </PageHead>
      <form className="stack" onSubmit={submit} aria-label="Policy" onKeyDown={(e) => { if (e.key === 's' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); if (dirty && maySave) void save() } }}>
        {!old && <TextField label="Name" value={name} onChange={setName} required code autoFocus hint="In lower case; roles and tokens name it so." problem={exists ? 'There is a policy by this name: open it to change it.' : undefined} />}
        {extensions ? <Suspense fallback={<Loading what="Loading the editor" />}><Editor label="Text of the policy" value={text} onChange={setText} extensions={extensions} onView={(v) => { view.current = v }} readOnly={!!old && !maySave} /></Suspense> : <Loading what="Loading the editor" />}
        <p className="small muted">Paths and capabilities complete as you type, or with Ctrl+Space. Tab moves on, out of the editor.</p>
        {changed !== undefined && <Note kind="warn"><p>Someone else changed this policy since you opened it.</p>
          <p className="row"><Button small onPress={() => { setText(changed); setBase(changed); setChanged(undefined) }}>Take theirs, drop mine</Button><Button small look="danger" onPress={() => void save(true)}>Save mine over theirs</Button></p></Note>}
        {act.problem !== undefined && <Problem error={act.problem} />}
        {old && !maySave && <Note>Your token may read this policy, not change it.</Note>}
        <div className="row">
          {(!old || maySave) && <Button type="submit" look="primary" busy={act.busy} isDisabled={(!dirty && !!old) || !name.trim() || exists}>{old ? 'Save' : 'Create'}</Button>}
          {dirty && old && <Button onPress={() => setText(base)}>Undo changes</Button>}
        </div>
      </form>
      <Unsaved when={dirty || !old && !!name} />
      {deleting && <Confirm title={`Delete the policy ${old}?`} action="Delete" typed={old} onClose={() => setDeleting(false)} run={async () => {
        await remove(`sys/policies/acl/${old}`)
        await client.invalidateQueries({ queryKey: ['policies'], refetchType: 'none' })
        void navigate({ to: '/policies', ignoreBlocker: true })
      }}>Tokens that carry it may no longer do what it allowed, from the next request on.</Confirm>}
    </div>
  )
}
