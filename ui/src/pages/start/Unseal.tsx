import { useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import { request } from '../../api/client'
import { sealStatus, type SealStatus } from '../../api/queries'
import { Button, Note, Problem, Progress, SecretField } from '../../kit'

/** Takes the shares of the unseal key, one at a time, from one person or several. */
export default function Unseal({ status }: { status: SealStatus }) {
  const client = useQueryClient()
  const [share, setShare] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const send = async (body: object) => {
    setBusy(true)
    setProblem(undefined)
    try {
      client.setQueryData(sealStatus.queryKey, await request<SealStatus>('POST', 'sys/unseal', { token: '', body }))
      setShare('')
    } catch (e) {
      setProblem(e)
      void client.invalidateQueries(sealStatus)
    }
    setBusy(false)
  }
  const submit = (e: FormEvent) => { e.preventDefault(); void send({ key: share.trim() }) }

  if (status.removed_from_cluster) return (
    <div className="front-card stack"><h1>This node was removed</h1>
      <Note kind="bad">It is no longer a member of its cluster and cannot be unsealed. To let it join again, stop it, delete its storage folder and start it.</Note></div>
  )
  if (status.recovery_seal && !status.migration) return (
    <div className="front-card stack"><h1>This node is sealed</h1>
      <Note kind="warn">It unseals by itself with its <b>{status.type}</b> seal. If it stays sealed, check that the seal can be reached: the server's log says why it cannot.</Note></div>
  )
  return (
    <form className="front-card stack" onSubmit={submit} aria-labelledby="unseal">
      <div className="stack-s">
        <h1 id="unseal">Unseal this node</h1>
        <p className="muted">Enter {status.t} of the {status.n} unseal key shares, in any order. They may come from different people and browsers.</p>
      </div>
      <div className="stack-s">
        <Progress done={status.progress} of={status.t} label="Shares entered" />
        <p className="small muted" role="status">{status.progress} of {status.t} shares entered</p>
      </div>
      <SecretField label="Key share" value={share} onChange={setShare} required autoFocus hint="As it was shown at the start: Base64 or hexadecimal." />
      {problem !== undefined && <Problem error={problem} />}
      <Button type="submit" look="primary" wide busy={busy}>Enter share</Button>
      {status.progress > 0 && <Button look="quiet" icon="undo" onPress={() => void send({ reset: true })}>Begin again</Button>}
      <p className="small muted">This is about the node that serves this page. Each node of a cluster is unsealed on its own: open the UI at the address of each.</p>
    </form>
  )
}
