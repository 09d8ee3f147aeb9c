import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { list, read, remove, write } from '../../api/client'
import type { SysCorsSettings, SysUiHeader } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Badge, Button, Check, Confirm, Dialog, Empty, Note, Table, TextArea, TextField, toast } from '../../kit'
import { ActForm, Card, Loaded } from '../../kit/parts'

/** What web browsers are told: who may use the API from other pages, and headers of this UI. */
export function Browsers() {
  const mayCors = useMay('sys/config/cors', 'read', 'sudo')
  const mayHeaders = useMay('sys/config/ui/headers', 'list', 'sudo')
  return <div className="stack">{mayCors && <Cors />}{mayHeaders && <Headers />}</div>
}

const lines = (text: string) => text.split(/[\s,]+/).filter(Boolean)

function Cors() {
  const client = useQueryClient()
  const found = useQuery({ queryKey: ['browsers', 'cors'], refetchOnWindowFocus: false, queryFn: async ({ signal }) => (await read<SysCorsSettings>('sys/config/cors', { signal })).data })
  const [typed, setTyped] = useState<string>()
  const [credentials, setCredentials] = useState<boolean>()
  const [ending, end] = useState(false)
  const may = useMay('sys/config/cors', 'update', 'sudo')
  const changed = async () => { await client.invalidateQueries({ queryKey: ['browsers'] }); setTyped(undefined); setCredentials(undefined) }
  return <Loaded of={found}>{(now) => {
    const text = typed ?? (now.allowed_origins ?? []).join('\n')
    return (
      <Card title={<span className="row">Pages of other origins <Badge kind={now.enabled ? 'warn' : 'good'}>{now.enabled ? 'may use the API' : 'may not use the API'}</Badge></span>} actions={may && now.enabled && <Button small onPress={() => end(true)}>Allow none…</Button>}>
        <ActForm action="Save" label="Origins" unsaved={typed !== undefined} disabled={!may || lines(text).length === 0} onSubmit={async () => {
          await write('sys/config/cors', { allowed_origins: lines(text), allow_credentials: credentials ?? now.allow_credentials ?? false })
          await changed()
          toast('Saved.')
        }}>
          <TextArea label="Origins whose pages may use the API" hint="One a line, such as https://console.example.com; * is every page there is." value={text} onChange={setTyped} rows={3} code />
          <Check checked={credentials ?? now.allow_credentials ?? false} onChange={setCredentials}>With client certificates and the like</Check>
          {lines(text).includes('*') && <Note kind="warn">Then any page that someone opens may ask this server, with a token that it has.</Note>}
        </ActForm>
        {ending && <Confirm title="Allow no other pages?" action="Allow none" onClose={() => end(false)} run={() => remove('sys/config/cors').then(changed)}>Pages of other origins are refused from then on.</Confirm>}
      </Card>
    )
  }}</Loaded>
}

function Headers() {
  const client = useQueryClient()
  const path = 'sys/config/ui/headers'
  const found = useQuery({
    queryKey: ['browsers', 'headers'],
    queryFn: async ({ signal }) => await Promise.all((await list(path, { signal })).map(async (name) => ({ name, values: (await read<SysUiHeader>(`${path}/${name}`, { signal, query: { multivalue: true } })).data.values ?? [] }))),
  })
  const [adding, add] = useState(false)
  const [ending, end] = useState('')
  const [name, setName] = useState('')
  const [values, setValues] = useState('')
  const may = useMay(`${path}/new`, 'update', 'sudo')
  const changed = () => client.invalidateQueries({ queryKey: ['browsers', 'headers'] })
  return <Loaded of={found}>{(data) => (
    <Card title="Headers of this UI’s pages" flush actions={may && <Button small icon="plus" onPress={() => add(true)}>Add a header</Button>}>
      <Table label="Headers of the UI" rows={data} id={(h) => h.name} empty={<Empty icon="code" title="Only the usual headers"><p>Such as Strict-Transport-Security, where every name of the domain has TLS.</p></Empty>} columns={[
        { head: 'Header', cell: (h) => <code>{h.name}</code> }, { head: 'Values', cell: (h) => <span className="break mono">{h.values.join(', ')}</span> },
        { head: 'Actions', hideHead: true, right: true, cell: (h) => may && <Button small look="quiet" icon="trash" aria-label={`Remove ${h.name}`} onPress={() => end(h.name)} /> },
      ]} />
      {adding && <Dialog title="Add a header" onClose={() => add(false)}>
        <ActForm action="Add" cancel={() => add(false)} disabled={!name.trim() || !values.trim()} onSubmit={async () => {
          await write(`${path}/${name.trim()}`, { values: values.split('\n').map((v) => v.trim()).filter(Boolean) })
          await changed()
          setName('')
          setValues('')
          add(false)
        }}>
          <Note kind="warn">A content security policy here takes the place of the UI’s own, which is the strictest there is: a wrong one keeps these pages from loading.</Note>
          <TextField label="Header" value={name} onChange={setName} code autoFocus />
          <TextArea label="Values" hint="One a line." value={values} onChange={setValues} rows={2} code />
        </ActForm>
      </Dialog>}
      {ending && <Confirm title={`Remove ${ending}?`} action="Remove" onClose={() => end('')} run={() => remove(`${path}/${ending}`).then(changed)}>Pages that are loaded from then on come without it.</Confirm>}
    </Card>
  )}</Loaded>
}
