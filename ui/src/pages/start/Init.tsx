import './start.css'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import { request } from '../../api/client'
import type { SysFounded } from '../../api/generated'
import { sealStatus } from '../../api/queries'
import { Button, Check, Note, Problem, TextArea, TextField } from '../../kit'
import { pgpBody, pgpHint, PgpKeys } from '../../kit/PgpKeys'
import { Keep, type Founded } from './Keep'

/** Founds a cluster: asks how the key is shared, shows the shares once, and goes on when they are kept. */
export default function Init({ onFounding }: { onFounding: (on: boolean) => void }) {
  const client = useQueryClient()
  const { data: status } = useQuery(sealStatus)
  const auto = !!status?.recovery_seal
  const [shares, setShares] = useState('5')
  const [threshold, setThreshold] = useState('3')
  const [pgp, setPgp] = useState(false)
  const [keys, setKeys] = useState<string[]>([])
  const [rootKey, setRootKey] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const [founded, setFounded] = useState<Founded>()

  const n = Number(shares), t = Number(threshold)
  const wrong = !Number.isInteger(n) || n < 1 || n > 255 ? 'Between 1 and 255.' : undefined
  const wrongT = !Number.isInteger(t) || t < 1 || t > n ? `Between 1 and ${n}.` : n > 1 && t === 1 ? `With a threshold of 1 every share alone ${auto ? 'is enough' : 'unseals'}: use at least 2, or one share.` : undefined

  const submit = async (e: FormEvent) => {
    e.preventDefault()
    if (wrong || wrongT) return
    setBusy(true)
    setProblem(undefined)
    const pgpKeys = pgpBody(pgp, n, keys)
    onFounding(true)
    try {
      const body = {
        ...(auto ? { recovery_shares: n, recovery_threshold: t, recovery_pgp_keys: pgpKeys } : { secret_shares: n, secret_threshold: t, pgp_keys: pgpKeys }),
        root_token_pgp_key: pgp && rootKey.trim() || undefined,
      }
      const made = await request<SysFounded>('POST', 'sys/init', { token: '', body })
      setFounded({ shares: made.recovery_keys_base64 ?? made.keys_base64, rootToken: made.root_token, recovery: auto, threshold: t, encrypted: pgp, rootEncrypted: pgp && !!rootKey.trim() })
    } catch (e) {
      onFounding(false)
      setProblem(e)
      setBusy(false)
      void client.invalidateQueries(sealStatus)
    }
  }
  if (founded) return <Keep founded={founded} onKept={() => { void client.invalidateQueries(sealStatus); onFounding(false) }} />
  return (
    <form className="front-card stack" onSubmit={submit} aria-labelledby="init" noValidate>
      <div className="stack-s">
        <h1 id="init">Set up Strongroom</h1>
        <p className="muted">{auto
          ? <>Everything is encrypted, and this server unseals by itself with its <b>{status?.type}</b> seal. A recovery key, split into shares, is for what people decide together: a new root token, another seal, a node that was sealed on purpose. It cannot stand in for the seal: if the seal’s own key is lost, so is the data.</>
          : <>Everything is encrypted under a key that is split into shares. After each restart, some of the shares together unseal a server. Give each to another person.</>}</p>
      </div>
      <div className="columns narrow">
        <TextField label={auto ? 'Recovery key shares' : 'Key shares'} type="number" min={1} max={255} value={shares} onChange={setShares} problem={wrong} autoFocus />
        <TextField label={auto ? 'Needed to decide' : 'Needed to unseal'} type="number" min={1} max={255} value={threshold} onChange={setThreshold} problem={wrongT} />
      </div>
      <Check checked={pgp} onChange={setPgp}>Encrypt each share for its owner with a PGP key</Check>
      {pgp && !wrong && <>
        <PgpKeys count={n} value={keys} onChange={setKeys} />
        <TextArea label="Public key for the root token" hint={`Optional: empty, the token is shown as it is. ${pgpHint}`} code rows={2} value={rootKey} onChange={setRootKey} />
      </>}
      <Note>Is this another node of a cluster that runs already? Then do not set it up: it joins by itself, or with <code>vault operator raft join</code>.</Note>
      {problem !== undefined && <Problem error={problem} />}
      <Button type="submit" look="primary" wide busy={busy}>Create the keys</Button>
    </form>
  )
}
