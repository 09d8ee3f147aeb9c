import { useState } from 'react'
import { write } from '../../api/client'
import { useMay, type Capability } from '../../api/queries'
import { Badge, SecretField, Select, Table, TextArea, TextField } from '../../kit'
import { ActForm } from '../../kit/parts'

type Whose = 'self' | 'accessor' | 'token'
const at = { self: 'sys/capabilities-self', accessor: 'sys/capabilities-accessor', token: 'sys/capabilities' }
const meaning: Record<string, string> = { root: 'Everything: this is a root token.', deny: 'Nothing.' }

/** What a token may do at paths, as the server decides it. */
export function Tester({ accessor: given }: { accessor?: string }) {
  const [whose, setWhose] = useState<Whose>(given ? 'accessor' : 'self')
  const [accessor, setAccessor] = useState(given ?? '')
  const [token, setToken] = useState('')
  const [text, setText] = useState('')
  const [answer, setAnswer] = useState<[string, Capability[]][]>()
  const mayAccessor = useMay(at.accessor, 'update')
  const mayToken = useMay(at.token, 'update')
  const paths = text.split('\n').map((p) => p.trim().replace(/^\/?(v1\/)?/, '')).filter(Boolean)
  const ask = async () => {
    const who = whose === 'token' ? { token: token.trim() } : whose === 'accessor' ? { accessor: accessor.trim() } : {}
    const { data } = await write<Record<string, Capability[]>>(at[whose], { paths, ...who })
    setAnswer(paths.map((p) => [p, data[p] ?? ['deny']]))
  }
  const options: { value: Whose; label: string; may: boolean }[] = [
    { value: 'self', label: 'My own', may: true }, { value: 'accessor', label: 'By its accessor', may: mayAccessor }, { value: 'token', label: 'By the token itself', may: mayToken },
  ]
  return (
    <div className="card pad stack">
      <p className="muted">What may a token do? The server answers with all its policies, and those of its owner's entity and groups.</p>
      <ActForm action="Ask" onSubmit={ask} disabled={paths.length === 0 || (whose === 'accessor' && !accessor) || (whose === 'token' && !token)}>
        <div className="columns">
          <Select label="Token" value={whose} onChange={(w) => { setWhose(w as Whose); setAnswer(undefined) }} options={options.filter((o) => o.may || o.value === whose)} />
          {whose === 'accessor' && <TextField label="Accessor" value={accessor} onChange={setAccessor} code />}
          {whose === 'token' && <SecretField label="The token" value={token} onChange={setToken} />}
        </div>
        <TextArea label="Paths" hint="One a line, such as secret/data/my-app/db." value={text} onChange={(t) => { setText(t); setAnswer(undefined) }} rows={3} code data-search />
      </ActForm>
      {answer && <Table label="What the token may do" rows={answer} id={([p]) => p} columns={[
        { head: 'Path', cell: ([p]) => <code className="break">{p}</code> },
        { head: 'May', cell: ([, c]) => <span className="row" role="status">{c.map((one) => <Badge key={one} kind={one === 'deny' ? 'bad' : one === 'sudo' || one === 'root' ? 'warn' : 'good'}>{one}</Badge>)}{meaning[c[0]!] && <span className="muted small">{meaning[c[0]!]}</span>}</span> },
      ]} />}
    </div>
  )
}
