import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { write, type Auth } from '../../api/client'
import { Badge, Note, Select, TextArea, TextField } from '../../kit'
import { ActForm, Facts, seconds } from '../../kit/parts'
import { itemNames } from './methods'

type Given = Auth & { metadata?: Record<string, string> | null }

/** Logs in as someone else would, and ends what that gives. */
export function LoginTest({ at, type }: { at: string; type: string }) {
  const { data: roles } = useQuery({ ...itemNames(`auth/${at}/role`), retry: false })
  const [role, setRole] = useState('')
  const [jwt, setJwt] = useState('')
  const [given, setGiven] = useState<Given>()
  const kubernetes = type === 'kubernetes'
  const chosen = role || roles?.[0] || ''
  const test = async () => {
    setGiven(undefined)
    const { auth } = await write(`auth/${at}/login`, { role: chosen, jwt: jwt.trim() }, { token: '' })
    if (!auth) throw new Error('The method accepted this but gave no token.')
    await write('auth/token/revoke-self', {}, { token: auth.client_token }).catch(() => {})
    setGiven(auth)
  }
  return (
    <div className="card pad stack">
      <p className="muted">This logs in for real, and ends the token that it gets at once. {kubernetes
        ? 'So it shows that the server reaches the Kubernetes API, that it may ask there whose token this is (TokenReview), and that the role lets this service account in.'
        : 'So it shows that the server knows the issuer\'s keys, and that the role lets in whoever has this token.'} It is written to the audit log as any login is.</p>
      <ActForm action="Log in and out" disabled={!chosen || !jwt.trim()} onSubmit={test}>
        {roles && roles.length > 0 ? <Select label="Role" value={chosen} onChange={setRole} options={roles.map((r) => ({ value: r, label: r }))} /> : <TextField label="Role" value={role} onChange={setRole} code />}
        <TextArea label={kubernetes ? 'Token of a service account' : 'Token'} hint={kubernetes ? <>Such as <code>kubectl create token NAME -n NAMESPACE</code> prints.</> : 'A signed JWT.'} value={jwt} onChange={setJwt} rows={4} code />
      </ActForm>
      {given && <div className="stack-s" role="status">
        <Note kind="good">This works: {given.metadata?.service_account_namespace ? `${given.metadata.service_account_namespace}/${given.metadata.service_account_name} is` : 'whoever has this token is'} let in.</Note>
        <Facts of={[['Policies', <span className="row">{given.policies.map((p) => <Badge key={p}>{p}</Badge>)}</span>], ['Tokens live', seconds(given.lease_duration)], ['Entity', given.entity_id && <code>{given.entity_id}</code>]]} />
      </div>}
    </div>
  )
}
