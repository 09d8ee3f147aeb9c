import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { write } from '../../api/client'
import type { SysAuditHash } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, CopyButton, Note, SecretField, Select, TextField } from '../../kit'
import { ActForm } from '../../kit/parts'
import { devices } from './audit'

/** What the log holds in the place of a value that the reader knows. */
export function Hash({ onFind }: { onFind?: (hash: string) => void }) {
  const { data } = useQuery(devices)
  const [device, setDevice] = useState('')
  const [input, setInput] = useState('')
  const [hash, setHash] = useState('')
  const at = (device || data?.[0]?.path || '').replace(/\/+$/, '')
  const may = useMay(at ? `sys/audit-hash/${at}` : '', 'update')
  const change = (apply: () => void) => { setHash(''); apply() }
  return (
    <div className="card pad stack">
      <p className="muted">The log holds a keyed hash of each secret, token and accessor. Give a value that you know, and find where it was used.</p>
      {data?.length === 0 && <Note kind="warn">No audit device is enabled, so nothing is hashed yet.</Note>}
      <ActForm action="Compute the hash" disabled={!at || !input} onSubmit={async () => setHash((await write<SysAuditHash>(`sys/audit-hash/${at}`, { input })).data.hash)}>
        <div className="columns">
          {data ? <Select label="Device" value={device || data[0]?.path} onChange={(d) => change(() => setDevice(d))} options={data.map((d) => ({ value: d.path, label: d.path }))} />
            : <TextField label="Device" hint="Where it is in sys/audit." value={device} onChange={(d) => change(() => setDevice(d))} code />}
          <SecretField label="Value" value={input} onChange={(v) => change(() => setInput(v))} hint="A secret's value, a token or an accessor. It is sent to the server and kept nowhere." />
        </div>
        {at && !may && <Note>Your token may not ask for hashes of {at}.</Note>}
      </ActForm>
      {hash && <div className="stack-s" role="status">
        <div className="row"><code className="break">{hash}</code><CopyButton text={hash} what="hash" /></div>
        {onFind && <div><Button small icon="search" onPress={() => onFind(hash)}>Look for it in the log</Button></div>}
      </div>}
    </div>
  )
}
