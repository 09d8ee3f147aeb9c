import './start.css'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useRef, useState, type FormEvent } from 'react'
import { adopt, signIn } from '../../api/auth'
import { ApiError } from '../../api/errors'
import { useNamespace } from '../../api/queries'
import { session, type Identity } from '../../api/session'
import { Button, Check, Note, Problem, SecretField, Select, TextArea, TextField } from '../../kit'
import { idleChoices, idleMinutes, setIdleMinutes } from '../../shell/idle'
import { other, shown, token, usual, type Kind, type Way } from './methods'
import { oidcLogin } from './oidc'

const lastMethod = 'strongroom.method'
const trim = (path: string) => path.trim().replace(/^\/+|\/+$/g, '')

/** Signs someone in; with `locked` it is the one whose page waits below. */
export default function SignIn({ reason, locked }: { reason?: string; locked?: Identity }) {
  const client = useQueryClient()
  const page = useNamespace()
  const [namespace, setNamespace] = useState(locked ? locked.home : page) // where to sign in: a page that waits keeps its own
  const [typed, setTyped] = useState(namespace)
  const { data: offered, isPending } = useQuery({ ...shown(namespace), retry: false })
  const [last, lastKind] = (localStorage.getItem(lastMethod) ?? '').split(' ')
  const [chosen, choose] = useState(last)
  const [kind, setKind] = useState(usual.find((w) => w.kind === lastKind)?.kind ?? 'userpass')
  const [mount, setMount] = useState<string>()
  const [values, setValues] = useState<Record<string, string>>({})
  const [keep, setKeep] = useState(false)
  const [idle, setIdle] = useState(idleMinutes)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const stop = useRef<AbortController>(undefined)

  const ways = offered?.length ? [...offered, token, { value: other, label: 'Another method', kind, mount: usual.find((w) => w.kind === kind)!.mount }] : [token, ...usual]
  const way = ways.find((w) => w.value === chosen) ?? ways[0]!
  const anywhere = way.value === other || !offered?.length && way !== token // its path is the reader's to say
  const set = (name: string) => (value: string) => setValues((v) => ({ ...v, [name]: value }))
  const value = (name: string) => (values[name] ?? '').trim()
  const field = (name: string, props: { label: string; hint?: string; autoComplete?: string }) => ({ ...props, name, value: values[name] ?? '', onChange: set(name), required: true })

  const submit = async (e: FormEvent) => {
    e.preventDefault()
    setBusy(true)
    setProblem(undefined)
    const where = { namespace: trim(typed), keep, page: locked ? page : trim(typed) }
    const at = anywhere ? trim(mount ?? way.mount) : way.mount
    stop.current = new AbortController()
    try {
      switch (way.kind) {
        case 'token': await adopt(value('token'), where); break
        case 'userpass': await signIn(`${at}/login/${value('username')}`, { password: values.password ?? '' }, where); break
        case 'approle': await signIn(`${at}/login`, { role_id: value('role_id'), secret_id: value('secret_id') }, where); break
        case 'kubernetes': case 'jwt': await signIn(`${at}/login`, { role: value('role'), jwt: value('jwt') }, where); break
        case 'oidc': await adopt(await oidcLogin(at, value('role'), where.namespace, stop.current.signal), where); break
      }
      localStorage.setItem(lastMethod, way.value === other ? `${other} ${kind}` : way.value)
      void client.invalidateQueries()
    } catch (e) {
      if (!stop.current.signal.aborted) setProblem(refused(e, way.kind))
      setBusy(false)
    }
  }

  return (
    <form className="front-card stack" onSubmit={submit} aria-labelledby="sign-in" aria-busy={isPending}>
      <div className="stack-s">
        <h1 id="sign-in">{locked ? 'Sign in again' : 'Sign in'}</h1>
        {namespace && <p className="muted break">to the namespace <b>{namespace}</b></p>}
        {reason && <Note kind="warn">{reason}{locked && ' Your page waits as you left it.'}</Note>}
      </div>
      <Select label="Method" value={way.value} onChange={(m) => { choose(m); setMount(undefined); setProblem(undefined) }} options={ways} />
      {way.value === other && <Select label="Kind of method" value={kind} onChange={(k) => { setKind(k as Kind); setMount(undefined) }} options={usual} />}
      <Credentials way={way} field={field} />
      {way.value === other && <TextField label="Mounted at" hint="Below auth/." value={mount ?? way.mount} onChange={setMount} code required />}
      <details>
        <summary className="small muted">More options</summary>
        <div className="stack more">
          {anywhere && way.value !== other && <TextField label="Mounted at" hint="Below auth/; change it when the method was enabled at another path." value={mount ?? way.mount} onChange={setMount} code />}
          <TextField label="Namespace" hint={locked ? 'Where your token is from; your page stays where it is.' : 'Leave it empty for the root namespace.'} value={typed} onChange={setTyped} onBlur={() => setNamespace(trim(typed))} code />
          <Select label="Sign out when nobody is there for" value={String(idle)} onChange={(m) => { setIdle(Number(m)); setIdleMinutes(Number(m)) }}
            options={idleChoices.map((m) => ({ value: String(m), label: m < 60 ? `${m} minutes` : m === 60 ? '1 hour' : `${m / 60} hours` }))} />
        </div>
      </details>
      <Check checked={keep} onChange={setKeep}>Stay signed in when this tab is reloaded</Check>
      {problem !== undefined && <Problem error={problem} />}
      <Button type="submit" look="primary" wide busy={busy}>{way.kind === 'oidc' ? 'Continue with the provider' : 'Sign in'}</Button>
      {busy && way.kind === 'oidc' && <Button look="quiet" onPress={() => stop.current?.abort()}>Do not wait for the provider</Button>}
      {locked && <Button look="quiet" onPress={() => session.signOut()}>Discard my page and sign out</Button>}
    </form>
  )
}

/** What each kind of method asks for. */
function Credentials({ way, field }: { way: Way; field: (name: string, props: { label: string; hint?: string; autoComplete?: string }) => { name: string; label: string; value: string; onChange: (v: string) => void; required: boolean } }) {
  switch (way.kind) {
    case 'token': return <SecretField key="token" {...field('token', { label: 'Token' })} autoFocus />
    case 'userpass': return <>
      <TextField {...field('username', { label: 'Username', autoComplete: 'username' })} autoFocus />
      <SecretField key="password" {...field('password', { label: 'Password', autoComplete: 'current-password' })} />
    </>
    case 'approle': return <>
      <TextField {...field('role_id', { label: 'Role ID' })} code autoFocus />
      <SecretField key="secret" {...field('secret_id', { label: 'Secret ID' })} required={false} />
    </>
    case 'kubernetes': case 'jwt': return <>
      <TextField {...field('role', { label: 'Role' })} autoFocus />
      <TextArea {...field('jwt', way.kind === 'jwt' ? { label: 'JWT' } : { label: 'Service account token', hint: 'kubectl create token NAME -n NAMESPACE prints one.' })} rows={4} code />
    </>
    case 'oidc': return <TextField {...field('role', { label: 'Role', hint: 'Leave it empty for the default role.' })} required={false} autoFocus />
  }
}

/** A refused login is no missing permission: say what it most likely is. */
function refused(e: unknown, kind: Kind) {
  if (!(e instanceof ApiError)) return e
  if (kind === 'token' && e.status === 403) return new Error('The server does not know this token here. It may have expired or been revoked, or be of another namespace (see "More options") or server.')
  if (e.status === 403 || e.status === 404) return new Error('Nothing answers for this method here. Check where it is mounted, the namespace under "More options", and whether the name and secret are right.')
  return e
}
