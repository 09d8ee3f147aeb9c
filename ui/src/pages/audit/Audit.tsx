import { useMay } from '../../api/queries'
import { useState } from 'react'
import { PageHead } from '../../kit'
import { Tabs } from '../../kit/parts'
import { Devices } from './Devices'
import { Headers } from './Headers'
import { Hash } from './Hash'
import { Log } from './Log'
import './audit.css'

/** Who asked for what, and where that is written down. */
export default function Audit() {
  const mayList = useMay('sys/audit', 'read', 'sudo')
  const maySearch = useMay('sys/internal/audit/search', 'read', 'sudo')
  const mayHeaders = useMay('sys/config/auditing/request-headers', 'read', 'sudo')
  const [holds, setHolds] = useState('')
  const [sought, seek] = useState(0) // a hash to look for begins a search of its own
  const [tab, setTab] = useState<string>()
  return (
    <div>
      <PageHead title="Audit" about="Every request and its answer, as the audit devices record them. Secrets in them are keyed hashes: nobody reads a value here." />
      <Tabs label="About auditing" at={tab} onAt={setTab} tabs={[
        maySearch && { id: 'log', label: 'Log', show: () => <Log key={sought} holds={holds} onHolds={setHolds} /> },
        mayList && { id: 'devices', label: 'Devices', show: () => <Devices /> },
        mayHeaders && { id: 'headers', label: 'Headers', show: () => <Headers /> },
        { id: 'hash', label: 'Hash of a value', show: () => <Hash onFind={maySearch ? (hash) => { setHolds(hash); seek(sought + 1); setTab('log') } : undefined} /> },
      ]} />
    </div>
  )
}
