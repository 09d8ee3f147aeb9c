import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { read, remove, write } from '../../api/client'
import type { SysSanitizedConfig } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, Confirm, Dialog, Empty, Note, Select, Table, TextField, toast } from '../../kit'
import { ActForm, Loaded, Snippet } from '../../kit/parts'
import { devices, type Device } from './audit'

/** Where records go. */
export function Devices() {
  const client = useQueryClient()
  const found = useQuery(devices)
  const [adding, add] = useState(false)
  const [ending, end] = useState<Device>()
  const mayEnable = useMay('sys/audit/new', 'update', 'sudo')
  const mayEnd = useMay('sys/audit/any', 'delete', 'sudo')
  const changed = () => client.invalidateQueries({ queryKey: ['audit'] })
  return <Loaded of={found}>{(data) => (
    <div className="stack">
      {data.length === 1 && <Note>With one device, the server answers nothing while that cannot write. A second one, such as a socket, keeps it going.</Note>}
      <div className="card">
        <div className="card-head"><h2>Devices</h2>{mayEnable && <Button icon="plus" onPress={() => add(true)} data-create>Enable device</Button>}</div>
        <Table label="Audit devices" rows={data} id={(d) => d.path} empty={<Empty icon="list" title="Nothing is recorded"><p>No audit device is enabled: nobody will know who read what.</p></Empty>} columns={[
          { head: 'Path', cell: (d) => <code>{d.path}</code> },
          { head: 'Type', cell: (d) => d.type },
          { head: 'Description', cell: (d) => <span className="muted break">{d.description}</span> },
          { head: 'Options', cell: (d) => <span className="small break">{Object.entries(d.options ?? {}).map(([k, v]) => `${k}=${v}`).join(', ')}</span> },
          { head: 'Actions', hideHead: true, right: true, cell: (d) => mayEnd && <Button small look="quiet" icon="trash" aria-label={`Disable ${d.path}`} onPress={() => end(d)} /> },
        ]} />
      </div>
      {adding && <Enable onClose={() => add(false)} onDone={changed} />}
      {ending && <Confirm title={`Disable ${ending.path}?`} action="Disable" typed={ending.path.replace(/\/$/, '')} run={() => remove(`sys/audit/${ending.path.replace(/\/$/, '')}`).then(changed)} onClose={() => end(undefined)}>
        Requests from now on are not recorded there. The key of its hashes goes with it: hashes in the old log can no longer be computed.</Confirm>}
    </div>
  )}</Loaded>
}

const first: Record<string, { option: string; hint: string }> = {
  file: { option: 'file_path', hint: 'A file on each node, such as /var/log/strongroom/audit.log, or stdout.' },
  socket: { option: 'address', hint: 'Such as 10.0.0.5:9090.' },
  syslog: { option: 'facility', hint: 'Such as AUTH.' },
  http: { option: 'uri', hint: 'Such as https://collector.example/audit.' },
}

function Enable({ onClose, onDone }: { onClose: () => void; onDone: () => Promise<void> }) {
  const { data: allowed } = useQuery({
    queryKey: ['audit', 'allowed'], retry: false, // who may not read the configuration is told by the refusal
    queryFn: async () => (await read<SysSanitizedConfig>('sys/config/state/sanitized')).data.unsafe_allow_api_audit_creation,
  })
  const [type, setType] = useState('file')
  const [path, setPath] = useState('')
  const [option, setOption] = useState('')
  const [description, setDescription] = useState('')
  const named = first[type]!
  if (allowed === false) {
    return (
      <Dialog title="Declare it in the configuration" onClose={onClose} wide>
        <p>This server takes audit devices from its configuration only, so that no token, however powerful, can have it write files. Add this on every node, then send the server SIGHUP:</p>
        <Snippet title="Configuration" plain text={'audit "file" "main" {\n  file_path   = "/var/log/strongroom/audit.log"\n  description = "All requests"\n}'} />
        <p className="muted">With <code>unsafe_allow_api_audit_creation = true</code> the API, and this page, may enable devices too.</p>
        <div className="buttons"><Button look="primary" onPress={onClose}>Close</Button></div>
      </Dialog>
    )
  }
  return (
    <Dialog title="Enable an audit device" onClose={onClose}>
      <ActForm action="Enable" cancel={onClose} onSubmit={async () => {
        const at = (path.trim() || type).replace(/\/+$/, '')
        await write(`sys/audit/${at}`, { type, description, options: option ? { [named.option]: option } : {} })
        await onDone()
        toast(`${at}/ enabled.`)
        onClose()
      }}>
        <Select label="Type" value={type} onChange={(t) => { setType(t); setOption('') }} options={Object.keys(first).map((t) => ({ value: t, label: t }))} />
        <TextField label="Path" hint={`Empty: ${type}/`} value={path} onChange={setPath} code />
        <TextField label={named.option} hint={named.hint} value={option} onChange={setOption} code />
        <TextField label="Description" value={description} onChange={setDescription} />
      </ActForm>
    </Dialog>
  )
}
