import './start.css'
import { useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import { adopt, signIn } from '../../api/auth'
import { ApiError } from '../../api/errors'
import { useNamespace } from '../../api/queries'
import { session, type Identity } from '../../api/session'
import { Button, Check, Note, Problem, SecretField, Select, TextArea, TextField } from '../../kit'
import { oidcLogin } from './oidc'

interface Method { value: string; label: string; mount?: string }
const methods: Method[] = [
  { value: 'token', label: 'Token' },
  { value: 'userpass', label: 'Username and password', mount: 'userpass' },
  { value: 'ldap', label: 'LDAP', mount: 'ldap' },
  { value: 'oidc', label: 'OIDC (single sign-on)', mount: 'oidc' },
  { value: 'approle', label: 'AppRole', mount: 'approle' },
  { value: 'kubernetes', label: 'Kubernetes service account', mount: 'kubernetes' },
]
const lastMethod = 'strongroom.method'

/** Signs someone in; with `locked` it is the one whose page waits below. */
export default function SignIn({ reason, locked }: { reason?: string; locked?: Identity }) {
  const client = useQueryClient()
  const namespace = useNamespace()
  const [method, setMethod] = useState(() => localStorage.getItem(lastMethod) ?? 'token')
  const known = methods.find((m) => m.value === method) ?? methods[0]!
  const [mount, setMount] = useState<string>()
  const [values, setValues] = useState<Record<string, string>>({})
  const [keep, setKeep] = useState(false)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const set = (name: string) => (value: string) => setValues((v) => ({ ...v, [name]: value }))
  const value = (name: string) => (values[name] ?? '').trim()

  const submit = async (e: FormEvent) => {
    e.preventDefault()
    setBusy(true)
    setProblem(undefined)
    const at = (mount ?? known.mount ?? '').replace(/^\/+|\/+$/g, '')
    try {
      switch (known.value) {
        case 'token': await adopt(value('token'), keep); break
        case 'userpass': case 'ldap': await signIn(`${at}/login/${value('username')}`, { password: values.password ?? '' }, keep); break
        case 'approle': await signIn(`${at}/login`, { role_id: value('role_id'), secret_id: value('secret_id') }, keep); break
        case 'kubernetes': await signIn(`${at}/login`, { role: value('role'), jwt: value('jwt') }, keep); break
        case 'oidc': await adopt(await oidcLogin(at, value('role')), keep); break
      }
      localStorage.setItem(lastMethod, known.value)
      void client.invalidateQueries()
    } catch (e) {
      setProblem(refused(e, known.value))
      setBusy(false)
    }
  }
  const field = (name: string, props: { label: string; hint?: string; autoComplete?: string }) => ({ ...props, name, value: values[name] ?? '', onChange: set(name), required: true })

  return (
    <form className="front-card stack" onSubmit={submit} aria-labelledby="sign-in">
      <div className="stack-s">
        <h1 id="sign-in">{locked ? 'Sign in again' : 'Sign in'}</h1>
        {reason && <Note kind="warn">{reason}{locked && ' Your page waits as you left it.'}</Note>}
      </div>
      <Select label="Method" value={known.value} onChange={(m) => { setMethod(m); setMount(undefined); setProblem(undefined) }} options={methods} />
      {known.value === 'token' && <SecretField key="token" {...field('token', { label: 'Token' })} autoFocus />}
      {(known.value === 'userpass' || known.value === 'ldap') && <>
        <TextField {...field('username', { label: 'Username', autoComplete: 'username' })} autoFocus />
        <SecretField key="password" {...field('password', { label: 'Password', autoComplete: 'current-password' })} />
      </>}
      {known.value === 'approle' && <>
        <TextField {...field('role_id', { label: 'Role ID' })} code autoFocus />
        <SecretField key="secret" {...field('secret_id', { label: 'Secret ID' })} required={false} />
      </>}
      {known.value === 'kubernetes' && <>
        <TextField {...field('role', { label: 'Role' })} autoFocus />
        <TextArea {...field('jwt', { label: 'Service account token', hint: 'kubectl create token NAME -n NAMESPACE prints one.' })} rows={4} code />
      </>}
      {known.value === 'oidc' && <TextField {...field('role', { label: 'Role', hint: 'Leave it empty for the default role.' })} required={false} autoFocus />}
      <details>
        <summary className="small muted">More options</summary>
        <div className="stack more">
          {known.mount && <TextField label="Mounted at" hint={`Below auth/; change it when the method was enabled at another path.`} value={mount ?? known.mount} onChange={setMount} code />}
          <TextField label="Namespace" hint="Leave it empty for the root namespace." value={namespace} onChange={(n) => session.setNamespace(n)} code />
        </div>
      </details>
      <Check checked={keep} onChange={setKeep}>Stay signed in when this tab is reloaded</Check>
      {problem !== undefined && <Problem error={problem} />}
      <Button type="submit" look="primary" wide busy={busy}>{known.value === 'oidc' ? 'Continue with the provider' : 'Sign in'}</Button>
      {locked && <Button look="quiet" onPress={() => session.signOut()}>Discard my page and sign out</Button>}
    </form>
  )
}

/** A refused login is no missing permission: say what it most likely is. */
function refused(e: unknown, method: string) {
  if (!(e instanceof ApiError)) return e
  if (method === 'token' && e.status === 403) return new Error('The server does not know this token. It may have expired, been revoked, or belong to another server.')
  if (e.status === 403 || e.status === 404) return new Error('Nothing answers for this method here. Check under "More options" where it is mounted, and whether the name and secret are right.')
  return e
}
