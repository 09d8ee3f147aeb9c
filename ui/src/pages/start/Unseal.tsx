import { useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import { request } from '../../api/client'
import type { SysSealStatus } from '../../api/generated'
import { sealStatus } from '../../api/queries'
import { Button, Note, Problem, Progress, SecretField } from '../../kit'

/** Takes the shares of the unseal key, one at a time, from one person or several. */
export default function Unseal({ status }: { status: SysSealStatus }) {
  const client = useQueryClient()
  const [share, setShare] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const send = async (body: object) => {
    setBusy(true)
    setProblem(undefined)
    try {
      client.setQueryData(sealStatus.queryKey, await request<SysSealStatus>('POST', 'sys/unseal', { token: '', body }))
      setShare('')
    } catch (e) {
      setProblem(e)
      void client.invalidateQueries(sealStatus)
    }
    setBusy(false)
  }
  const submit = (e: FormEvent) => { e.preventDefault(); void send({ key: share.trim(), migrate: status.migration }) }

  if (status.removed_from_cluster) return (
    <div className="front-card stack"><h1>This node was removed</h1>
      <Note kind="bad">It is no longer a member of its cluster and cannot be unsealed. To let it join again, stop it, delete its storage folder and start it.</Note></div>
  )
  const auto = status.recovery_seal // then people hold shares of the recovery key
  return (
    <form className="front-card stack" onSubmit={submit} aria-labelledby="unseal">
      <div className="stack-s">
        <h1 id="unseal">{status.migration ? 'Move this node to its new seal' : auto ? 'This node is sealed' : 'Unseal this node'}</h1>
        {status.migration && <Note kind="warn">Its configuration names another seal than the cluster has (<b>{status.type}</b>). With the present {auto ? 'recovery' : 'unseal'} keys it opens and waits for the change: the cluster’s seal changes when such a node takes over. Do this on every standby, then have the active node step down.</Note>}
        {auto && !status.migration && <>
          <Note kind="warn">It unseals by itself with its <b>{status.type}</b> seal, unless someone sealed it on purpose. If it was just started and stays sealed, check that the seal can be reached: the server’s log says why it cannot.</Note>
          <p className="muted">Was it sealed on purpose? Then {status.t} of the {status.n} recovery key shares let it open again; so does a restart of the server.</p>
        </>}
        {!auto && <p className="muted">Enter {status.t} of the {status.n} unseal key shares, in any order. They may come from different people and browsers.</p>}
        {auto && status.migration && <p className="muted">Enter {status.t} of the {status.n} recovery key shares, in any order.</p>}
      </div>
      <div className="stack-s">
        <Progress done={status.progress} of={status.t} label="Shares entered" />
        <p className="small muted" role="status">{status.progress} of {status.t} shares entered</p>
      </div>
      <SecretField label={auto ? 'Recovery key share' : 'Key share'} value={share} onChange={setShare} required autoFocus hint="As it was shown at the start, or as its owner decrypted it: base64 or hexadecimal." />
      {problem !== undefined && <Problem error={problem} />}
      <Button type="submit" look="primary" wide busy={busy}>Enter share</Button>
      {status.progress > 0 && <Button look="quiet" icon="undo" onPress={() => void send({ reset: true })}>Begin again</Button>}
      <p className="small muted">This is about the node that serves this page. Each node of a cluster is unsealed on its own: open the UI at the address of each.</p>
    </form>
  )
}
