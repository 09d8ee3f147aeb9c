import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { read, write, type Envelope } from '../../api/client'
import type { DatabaseCredentials, DatabaseStaticCredentials } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, CopyButton, toast } from '../../kit'
import { ActForm, Card, Facts, Loaded, seconds } from '../../kit/parts'
import { When } from '../../kit/When'

/** A password: dots, until its reader wants to see it. */
function Password({ text }: { text: string }) {
  const [shown, show] = useState(false)
  return (
    <span className="row">
      <code className="break">{shown ? text : '•'.repeat(16)}</code>
      <Button look="quiet" small icon={shown ? 'eyeOff' : 'eye'} aria-label={shown ? 'Hide the password' : 'Reveal the password'} onPress={() => show(!shown)} />
      <CopyButton text={text} what="password" secret />
    </span>
  )
}

/** Makes a user for the reader, who may give it back. It is kept in this page's memory alone. */
export function Lent({ mount, role }: { mount: string; role: string }) {
  const client = useQueryClient()
  const may = useMay(`${mount}creds/${role}`, 'read')
  const mayRevoke = useMay('sys/leases/revoke', 'update')
  const [lent, setLent] = useState<Envelope<DatabaseCredentials> & { at: number }>()
  if (!may) return null
  const lend = async () => {
    const answer = await read<DatabaseCredentials>(`${mount}creds/${role}`)
    setLent({ ...answer, at: Date.now() })
    await client.invalidateQueries({ queryKey: ['leases'] })
  }
  const giveBack = async () => {
    await write('sys/leases/revoke', { lease_id: lent!.lease_id, sync: true })
    setLent(undefined)
    await client.invalidateQueries({ queryKey: ['leases'] })
    toast('The user is dropped.')
  }
  return (
    <Card title="Credentials" about="A user of the database of one's own, which is dropped when its lease ends.">
      <div className="stack">
        {lent && <div role="status"><Facts of={[['User', <span className="row"><code className="break">{lent.data.username}</code><CopyButton text={lent.data.username} what="user" /></span>], ['Password', <Password key={lent.lease_id} text={lent.data.password} />],
          ['Ends', <When at={lent.at + lent.lease_duration * 1000} />], ['Lease', <code className="break">{lent.lease_id}</code>]]} /></div>}
        <div className="row-top">
          <ActForm action={lent ? 'Get others' : 'Get credentials'} onSubmit={lend}>{null}</ActForm>
          {lent && mayRevoke && <ActForm action="Give back" look="danger" onSubmit={giveBack}>{null}</ActForm>}
        </div>
      </div>
    </Card>
  )
}

/** The user of a static role. Its password is asked for only when the reader wants it, and forgotten with the page. */
export function Kept({ mount, role }: { mount: string; role: string }) {
  const may = useMay(`${mount}static-creds/${role}`, 'read')
  const [wanted, want] = useState(false)
  const found = useQuery({ queryKey: ['database', mount, 'static-creds', role], queryFn: async ({ signal }) => (await read<DatabaseStaticCredentials>(`${mount}static-creds/${role}`, { signal })).data, enabled: wanted, gcTime: 0 })
  if (!may) return null
  return (
    <Card title="Credentials" about="The user of the static role, with the password that it has now.">
      {!wanted ? <Button onPress={() => want(true)}>Get credentials</Button> : <Loaded of={found}>{(c) => <div role="status"><Facts of={[
        ['User', <span className="row"><code className="break">{c.username}</code><CopyButton text={c.username} what="user" /></span>], ['Password', <Password key={c.password} text={c.password} />],
        ['Set', c.last_vault_rotation && <When at={c.last_vault_rotation} />], ['Changes', c.ttl > 0 ? `in ${seconds(c.ttl)}` : 'now'],
      ]} /></div>}</Loaded>}
    </Card>
  )
}
