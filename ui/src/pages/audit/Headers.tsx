import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { read, remove, write } from '../../api/client'
import type { SysAuditedHeaders } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Badge, Button, Check, Confirm, Dialog, Empty, Table, TextField } from '../../kit'
import { ActForm, Loaded } from '../../kit/parts'

const path = 'sys/config/auditing/request-headers'

/** Which headers of requests the records hold. */
export function Headers() {
  const client = useQueryClient()
  const found = useQuery({ queryKey: ['audit', 'headers'], queryFn: async ({ signal }) => Object.entries((await read<SysAuditedHeaders>(path, { signal })).data.headers).map(([name, h]) => ({ name, ...h })) })
  const [adding, add] = useState(false)
  const [ending, end] = useState('')
  const may = useMay(`${path}/new`, 'update', 'sudo')
  const mayEnd = useMay(`${path}/any`, 'delete', 'sudo')
  const changed = () => client.invalidateQueries({ queryKey: ['audit', 'headers'] })
  return <Loaded of={found}>{(data) => (
    <div className="card">
      <div className="card-head"><h2>Request headers in the records</h2>{may && <Button small icon="plus" onPress={() => add(true)} data-create>Record a header</Button>}</div>
      <Table label="Request headers" rows={data} id={(h) => h.name} empty={<Empty icon="list" title="No headers are recorded"><p>Such as X-Forwarded-For, which says who asks behind a proxy.</p></Empty>} columns={[
        { head: 'Header', cell: (h) => <code className="break">{h.name}</code> },
        { head: 'Recorded as', cell: (h) => h.hmac ? <Badge kind="good">keyed hash</Badge> : <Badge kind="warn">plain text</Badge> },
        { head: 'Actions', hideHead: true, right: true, cell: (h) => mayEnd && <Button small look="quiet" icon="trash" aria-label={`Stop recording ${h.name}`} onPress={() => end(h.name)} /> },
      ]} />
      {adding && <Add onClose={() => add(false)} onDone={changed} />}
      {ending && <Confirm title={`Stop recording ${ending}?`} action="Stop" onClose={() => end('')} run={() => remove(`${path}/${ending}`).then(changed)}>Records from now on do not hold it.</Confirm>}
    </div>
  )}</Loaded>
}

function Add({ onClose, onDone }: { onClose: () => void; onDone: () => Promise<void> }) {
  const [name, setName] = useState('')
  const [hmac, setHmac] = useState(true)
  return (
    <Dialog title="Record a header" onClose={onClose}>
      <ActForm action="Record it" cancel={onClose} disabled={!name.trim()} onSubmit={async () => { await write(`${path}/${name.trim()}`, { hmac }); await onDone(); onClose() }}>
        <TextField label="Header" hint="Such as X-Forwarded-For." value={name} onChange={setName} code autoFocus />
        <Check checked={hmac} onChange={setHmac}>Record a keyed hash of its value<span className="muted small"><br />For headers that may hold something secret. In plain text one can search for it.</span></Check>
      </ActForm>
    </Dialog>
  )
}
