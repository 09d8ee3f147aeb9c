import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { read, write } from '../../api/client'
import type { AuthApproleRoleIdInfo, AuthApproleSecretMade } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, Confirm, CopyButton, Dialog, Note, Problem, Table } from '../../kit'
import { Card, Facts } from '../../kit/parts'
import { useAct } from '../../kit/useAct'
import { itemNames } from './methods'

/** What a program needs to log in by an AppRole: the role's ID, and a secret ID that is shown once. */
export function AppRole({ at, role }: { at: string; role: string }) {
  const client = useQueryClient()
  const base = `auth/${at}/role/${role}`
  const mayRead = useMay(`${base}/role-id`, 'read')
  const mayMake = useMay(`${base}/secret-id`, 'update')
  const mayList = useMay(`${base}/secret-id`, 'list')
  const mayEnd = useMay(`${base}/secret-id-accessor/destroy`, 'update')
  const { data: id } = useQuery({ queryKey: ['auth', base, 'role-id'], enabled: mayRead, queryFn: async () => (await read<AuthApproleRoleIdInfo>(`${base}/role-id`)).data.role_id })
  const { data: accessors } = useQuery({ ...itemNames(`${base}/secret-id`), enabled: mayList })
  const [made, setMade] = useState<{ secret_id: string; wrapped: boolean }>()
  const [ending, end] = useState<string>()
  const act = useAct()
  const changed = () => client.invalidateQueries({ queryKey: ['auth', `${base}/secret-id`] })
  const make = (wrapSeconds?: number) => act.run(async () => {
    const answer = await write<AuthApproleSecretMade | null>(`${base}/secret-id`, {}, { wrapSeconds })
    setMade({ secret_id: answer.wrap_info?.token ?? answer.data?.secret_id ?? '', wrapped: !!wrapSeconds })
    await changed()
  })
  return (
    <Card title="To log in by this role" actions={mayMake && <><Button small busy={act.busy} onPress={() => void make()}>New secret ID</Button><Button small busy={act.busy} onPress={() => void make(600)}>Wrapped, for 10 minutes</Button></>}>
      <Facts of={[['Role ID', id && <span className="row"><code className="break">{id}</code><CopyButton text={id} what="role ID" /></span>]]} />
      {act.problem !== undefined && <Problem error={act.problem} />}
      {accessors && accessors.length > 0 && <Table label="Secret IDs" rows={accessors} id={(a) => a} columns={[
        { head: 'Accessor of a secret ID', cell: (a) => <code className="break">{a}</code> },
        { head: 'Actions', hideHead: true, right: true, cell: (a) => mayEnd && <Button small look="quiet" icon="trash" aria-label={`End the secret ID ${a}`} onPress={() => end(a)} /> },
      ]} />}
      {made && <Dialog title={made.wrapped ? 'A wrapped secret ID' : 'A new secret ID'} onClose={() => setMade(undefined)}>
        <Note kind="warn">{made.wrapped ? 'Whoever unwraps this token gets the secret ID, once, within 10 minutes.' : 'This is the only time that it is shown.'}</Note>
        <div className="row"><span className="mono">{'•'.repeat(20)}</span><CopyButton text={made.secret_id} what={made.wrapped ? 'wrapping token' : 'secret ID'} secret label="Copy" /></div>
        <div className="buttons"><Button look="primary" onPress={() => setMade(undefined)}>Done</Button></div>
      </Dialog>}
      {ending && <Confirm title="End this secret ID?" action="End it" onClose={() => end(undefined)} run={() => write(`${base}/secret-id-accessor/destroy`, { secret_id_accessor: ending }).then(changed)}>Nobody can log in with it any more.</Confirm>}
    </Card>
  )
}
