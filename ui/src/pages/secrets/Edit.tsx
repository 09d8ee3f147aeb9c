import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { ApiError, isForbidden, isMissing } from '../../api/errors'
import { Button, Check, Dialog, Loading, Note, PageHead, Problem, TextField, toast } from '../../kit'
import { Unsaved } from '../../kit/parts'
import { Conflict } from './Conflict'
import { Crumbs } from './Crumbs'
import { Diff } from './Diff'
import { dataOf, draftOf, Form, type Draft } from './Form'
import { readSecret, same, secret as secretOf, useAddress, writeSecret, type Data, type Kv } from './kv'
import { OtherEngine } from './OtherEngine'
import './secrets.css'

/** Writes a new version of the secret that the address names. */
export function EditSecret() {
  const { kv, mount, path, error } = useAddress()
  if (error) return <Problem error={error} />
  if (kv === undefined) return <Loading />
  if (kv === null) return <OtherEngine mount={mount} />
  return <Existing key={path} kv={kv} path={path} />
}

/** Writes a secret that is not there yet, in the folder that the address names. */
export function CreateSecret() {
  const { kv, mount, path, error } = useAddress()
  if (error) return <Problem error={error} />
  if (kv === undefined) return <Loading />
  if (kv === null) return <OtherEngine mount={mount} />
  return <Writer kv={kv} folder={path} base={{}} version={0} />
}

function Existing({ kv, path }: { kv: Kv; path: string }) {
  // Read once: what changes on the server meanwhile is found when saving, and must not replace what is typed here.
  const { data, error, refetch } = useQuery({ ...secretOf(kv, path), refetchOnWindowFocus: false, staleTime: Infinity })
  if (data) return <Writer kv={kv} path={path} base={data.data ?? {}} version={data.version} />
  if (isMissing(error)) return <Writer kv={kv} path={path} base={{}} version={0} />
  if (isForbidden(error)) return <Writer kv={kv} path={path} base={{}} version={-1} />
  if (error) return <Problem error={error} retry={() => void refetch()} />
  return <Loading />
}

/** The form itself. `version` is what `base` was read as; -1 where it may be written but not read. */
function Writer({ kv, path: fixed, folder = '', base, version }: { kv: Kv; path?: string; folder?: string; base: Data; version: number }) {
  const navigate = useNavigate()
  const client = useQueryClient()
  const [start] = useState({ data: base, version }) // what the writer saw
  const [name, setName] = useState(folder)
  const [draft, setDraft] = useState<Draft>(() => draftOf(base))
  const [review, setReview] = useState(false)
  const [reveal, setReveal] = useState(false)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const [conflict, setConflict] = useState<{ data: Data; version: number }>()
  const [saved, setSaved] = useState(false)
  const { data, problem: wrong } = dataOf(draft)
  const path = fixed ?? name.trim()
  const badName = fixed === undefined && name !== folder && (/^\/|\/\/|\/$/.test(path) || /(^|\/)\.\.?(\/|$)/.test(path)) ? 'A name has no empty parts, and does not begin or end with a slash.' : undefined
  const dirty = !saved && (!data || !same(data, start.data) || (fixed === undefined && name !== folder))
  useEffect(() => {
    if (saved) void navigate({ to: '/secrets/$mount/show/$', params: { mount: kv.mount, _splat: path }, replace: true })
  }, [saved, navigate, kv.mount, path])

  const save = async (what: Data, cas: number) => {
    setBusy(true)
    setProblem(undefined)
    try {
      if (!kv.v2 && cas >= 0) { // it has no check of its own: look, as late as possible
        const now = await readSecret(kv, path).catch((e) => { if (isMissing(e)) return { data: {} as Data }; throw e })
        const seen = conflict?.data ?? start.data
        if (!same(now.data, seen)) { setConflict({ data: now.data ?? {}, version: 0 }); setReview(false); return }
      }
      await writeSecret(kv, path, what, cas < 0 ? 0 : cas)
      await client.invalidateQueries({ queryKey: ['kv', kv.mount] })
      toast(`${path} saved.`)
      setSaved(true)
    } catch (e) {
      if (!(e instanceof ApiError && e.conflict)) { setProblem(e); throw e }
      setReview(false)
      try {
        const now = await readSecret(kv, path)
        setConflict({ data: now.data ?? {}, version: now.version })
      } catch (again) { setProblem(isForbidden(again) ? new Error('Something is at this path already, and your policy does not let you see it: it was not overwritten.') : again) }
    } finally { setBusy(false) }
  }

  return (
    <div>
      <PageHead above={<Crumbs mount={kv.mount} path={fixed ?? folder} self={fixed !== undefined} />} title={fixed === undefined ? 'Create a secret' : version > 0 ? `New version of ${fixed.split('/').at(-1)}` : `Write ${fixed.split('/').at(-1)}`} />
      <div className="stack">
        {version < 0 && <Note kind="warn">You may write this secret but not read it. If there is one already, {kv.v2 ? 'it is not overwritten.' : 'it is replaced as a whole.'}</Note>}
        {fixed === undefined && <TextField label="Path" hint={`Below ${kv.mount}. Slashes make folders.`} value={name} onChange={setName} problem={badName} code required autoFocus />}
        <Form draft={draft} onChange={setDraft} />
        {problem !== undefined && !review && <Problem error={problem} />}
        <div className="save-bar">
          <Button look="primary" isDisabled={!data || !path || !!badName || path.endsWith('/') || same(data, start.data) && start.version > 0} onPress={() => { setProblem(undefined); setReview(true) }}>Review and save</Button>
          <Button onPress={() => history.back()}>Cancel</Button>
          {draft.mode === 'rows' && wrong && <span className="problem" role="status">{wrong}</span>}
        </div>
      </div>
      {review && data && (
        <Dialog title={start.version > 0 ? 'Save a new version' : 'Create this secret'} onClose={() => setReview(false)} wide>
          <p className="muted break">{kv.mount}{path}{start.version > 0 && `, on top of version ${start.version}`}</p>
          <Diff from={start.data} to={data} fromName={start.version > 0 ? `Version ${start.version}` : 'Before'} toName="After" reveal={reveal} />
          <Check checked={reveal} onChange={setReveal}>Show values</Check>
          {problem !== undefined && <Problem error={problem} />}
          <div className="buttons"><Button onPress={() => setReview(false)}>Back</Button><Button look="primary" busy={busy} autoFocus onPress={() => void save(data, start.version).catch(() => {})}>Save</Button></div>
        </Dialog>
      )}
      {conflict && data && !saved && <Conflict key={conflict.version + JSON.stringify(Object.keys(conflict.data))} base={start.data} mine={data} theirs={conflict.data} version={conflict.version}
        save={(merged) => save(merged, conflict.version)} onClose={() => setConflict(undefined)} />}
      <Unsaved when={dirty} />
    </div>
  )
}
