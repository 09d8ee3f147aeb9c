import { useState } from 'react'
import { useMay } from '../../api/queries'
import { PageHead } from '../../kit'
import { Tabs } from '../../kit/parts'
import { Accessors } from './Accessors'
import { Create } from './Create'
import { Leases } from './Leases'
import { LookUp } from './LookUp'

/** What was lent, and to whom. */
export default function Tokens() {
  const mayList = useMay('auth/token/accessors', 'list', 'sudo')
  const mayLeases = useMay('sys/leases/lookup/auth', 'list', 'sudo')
  const mayCreate = useMay('auth/token/create', 'update')
  const [tab, setTab] = useState<string>()
  const [accessor, setAccessor] = useState('')
  return (
    <div>
      <PageHead title="Tokens and leases" about="Who may act, until when, and what else was lent. What is revoked ends at once." />
      <Tabs label="About tokens" at={tab} onAt={setTab} tabs={[
        { id: 'lookup', label: 'Look up', show: () => <LookUp key={accessor} given={accessor} /> },
        mayList && { id: 'list', label: 'All tokens', show: () => <Accessors onOpen={(a) => { setAccessor(a); setTab('lookup') }} /> },
        mayLeases && { id: 'leases', label: 'Leases', show: () => <Leases /> },
        mayCreate && { id: 'create', label: 'Create a token', show: () => <Create /> },
      ]} />
    </div>
  )
}
