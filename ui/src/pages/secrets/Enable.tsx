import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState, type FormEvent } from 'react'
import { write } from '../../api/client'
import { Button, Loading, PageHead, Problem, Select, TextField, toast } from '../../kit'
import { plugins } from '../../api/queries'
import { requestSchema } from '../../api/schema'
import { initial, SchemaForm, toBody } from '../../kit/SchemaForm'
import { Crumbs } from './Crumbs'

/** Enables a secrets engine. The form is what the server's own document says that mounting takes. */
export default function Enable() {
  const client = useQueryClient()
  const navigate = useNavigate()
  const { data: types, error: untold } = useQuery(plugins)
  const { data: schema, error } = useQuery(requestSchema('/sys/mounts/{path}'))
  const [type, setType] = useState('kv')
  const [version, setVersion] = useState('2')
  const [values, setValues] = useState<Record<string, string>>({})
  const [path, setPath] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  if (!schema && !error || !types && !untold) return <Loading />
  const submit = async (e: FormEvent) => {
    e.preventDefault()
    setBusy(true)
    try {
      const at = (path.trim() || type).replace(/\/+$/, '')
      await write(`sys/mounts/${at}`, { ...(schema && toBody(schema, values)), type, ...(type === 'kv' ? { options: { version } } : {}) })
      await client.invalidateQueries({ queryKey: ['mounts'] })
      toast(`${at}/ enabled.`)
      void navigate({ to: '/secrets/$mount/list/$', params: { mount: at + '/', _splat: '' } })
    } catch (e) { setProblem(e); setBusy(false) }
  }
  return (
    <div>
      <PageHead above={<Crumbs mount="" path="" />} title="Enable an engine" />
      <form className="card pad stack" onSubmit={submit}>
        <div className="columns">
          {types ? <Select label="Type" value={type} onChange={setType} options={types.secret.filter((t) => t !== 'cubbyhole').map((t) => ({ value: t, label: t }))} />
            : <TextField label="Type" hint="Your token may not see which types this server has." value={type} onChange={setType} code />}
          {type === 'kv' && <Select label="Version" value={version} onChange={setVersion} options={[{ value: '2', label: '2: keeps versions' }, { value: '1', label: '1: keeps the last value' }]} />}
        </div>
        <TextField label="Path" hint={`Where it stands; empty: ${type}/`} value={path} onChange={setPath} code />
        {schema && <SchemaForm schema={schema} values={initial(schema, values)} onChange={setValues} skip={['type', 'options', 'plugin_name', 'plugin_version', 'seal_wrap', 'external_entropy_access', 'local', 'config']} />}
        {problem !== undefined && <Problem error={problem} />}
        <div className="row"><Button type="submit" look="primary" busy={busy}>Enable</Button><Button onPress={() => history.back()}>Cancel</Button></div>
      </form>
    </div>
  )
}
