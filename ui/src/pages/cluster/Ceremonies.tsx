import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { request } from '../../api/client'
import type { SysDecodedToken, SysRekeyed, SysRekeyStatus, SysRootStatus, SysVerifyStatus } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, Check, Confirm, CopyButton, Dialog, Note, Problem, Progress, save, SecretField, TextField, toast } from '../../kit'
import { ActForm, Card, Facts, Unsaved } from '../../kit/parts'
import { decryptWith, pgpBody, PgpKeys } from '../../kit/PgpKeys'

// A ceremony: k of n people each give their share, at their own machines or here; the nonce tells them that it is the same one.
type State = Pick<SysRekeyStatus, 'started' | 'nonce' | 'progress' | 'required'> & Partial<SysRekeyStatus & SysRootStatus>
type Update = Partial<SysRekeyed & SysRootStatus>

const ask = <T,>(path: string, enabled = true) => ({ queryKey: ['ceremony', path], queryFn: ({ signal }: { signal: AbortSignal }) => request<T>('GET', path, { signal }), refetchInterval: 3000, enabled })

function Ceremony({ title, about, begin, update, verify, start, done, verified }: {
  title: string; about: string; begin: string; update: string
  /** Where the new shares are proven, in a ceremony that may ask for that. */
  verify?: string
  /** The form that starts it; told when it has. */
  start: (started: () => Promise<unknown>) => ReactNode
  done: (answer: Update) => Promise<void> | void
  verified?: () => void
}) {
  const client = useQueryClient()
  const { data: state, error, refetch } = useQuery(ask<State>(begin))
  const { data: proof } = useQuery(ask<SysVerifyStatus>(verify ?? '', !!verify && !!state?.verification_nonce))
  const [cancelling, cancel] = useState<'all' | 'proof'>()
  const may = useMay(begin, 'update', 'sudo')
  const again = () => client.invalidateQueries({ queryKey: ['ceremony'] })
  const proving = !!state?.verification_nonce
  return (
    <Card title={title} about={about} actions={state?.started && may && <>
      {proving && (proof?.progress ?? 0) > 0 && <Button small onPress={() => cancel('proof')}>Begin the proof again…</Button>}
      <Button small onPress={() => cancel('all')}>Cancel it…</Button>
    </>}>
      {error && !state ? <Problem error={error} retry={() => void refetch()} /> : !state ? null : !state.started ? may && <details className="fold"><summary>Start</summary><div className="stack">{start(again)}</div></details> : <>
        <Facts of={[
          ['To make', state.n && `${state.n} shares, ${state.t} of them needed`],
          ['Encrypted for', !!state.pgp_fingerprints?.length && <span className="stack-s">{state.pgp_fingerprints.map((f, i) => <code key={i} className="break">{f}</code>)}</span>],
          ['Proof', state.verification_required && (proving ? 'under way: until the new shares are proven, the old ones count' : 'the new shares are asked for before they count')],
        ]} />
        {proving ? proof && verify && <Shares key="new" title={title} label="New key share" nonce={proof.nonce} progress={proof.progress} of={proof.t} update={verify} onAnswer={async (a: SysVerifyStatus) => { if (a.complete) verified?.(); await again() }} />
          : <Shares key="old" title={title} label="Key share" nonce={state.nonce} progress={state.progress} of={state.required} update={update} onAnswer={async (a: Update) => { if (a.complete) await done(a); await again() }} />}
      </>}
      {cancelling === 'all' && <Confirm title="Cancel it?" action="Cancel it" onClose={() => cancel(undefined)} run={() => request('DELETE', begin, { body: { nonce: state?.nonce } }).then(again)}>
        {proving ? 'The new shares are void: destroy them. The old ones still count.' : 'Shares that were entered are forgotten. Nothing has changed.'}</Confirm>}
      {cancelling === 'proof' && <Confirm title="Begin the proof again?" action="Begin again" look="primary" onClose={() => cancel(undefined)} run={() => request('DELETE', verify!, {}).then(again)}>The new shares that were entered are asked for once more. They stay the same.</Confirm>}
    </Card>
  )
}

/** Takes one share after the other, and shows how many there are, whoever entered them. */
function Shares<T>({ title, label, nonce, progress, of, update, onAnswer }: { title: string; label: string; nonce: string; progress: number; of: number; update: string; onAnswer: (answer: T) => Promise<void> }) {
  const [share, setShare] = useState('')
  return <>
    <Facts of={[['Nonce', <span className="row"><code className="break">{nonce}</code><CopyButton text={nonce} what="nonce" /></span>], [label === 'Key share' ? 'Shares entered' : 'New shares entered', `${progress} of ${of}`]]} />
    <Progress done={progress} of={of} label="Shares entered" />
    <ActForm action="Enter share" label={`Share for ${title}`} disabled={!share.trim()} onSubmit={async () => {
      const answer = await request<T>('POST', update, { body: { key: share.trim(), nonce } })
      setShare('')
      await onAnswer(answer)
    }}><SecretField label={label} value={share} onChange={setShare} hint="Each owner enters theirs, here or elsewhere with the same nonce." /></ActForm>
  </>
}

/** New unseal (or recovery) keys in place of those there are. */
export function Rekey({ recovery, n, t }: { recovery: boolean; n: number; t: number }) {
  const at = recovery ? 'sys/rekey-recovery-key' : 'sys/rekey'
  const what = recovery ? 'recovery' : 'unseal'
  const [shares, setShares] = useState(String(n))
  const [threshold, setThreshold] = useState(String(t))
  const [verify, setVerify] = useState(true)
  const [pgp, setPgp] = useState(false)
  const [keys, setKeys] = useState<string[]>([])
  const [made, setMade] = useState<Update>()
  const count = Number(shares)
  return <>
    <Ceremony title={`New ${what} keys`} about="Makes new shares, and the old ones stop working. Do it when someone who has one leaves." begin={`${at}/init`} update={`${at}/update`} verify={`${at}/verify`}
      done={setMade} verified={() => toast('The new keys hold from now on. The old shares no longer work.')}
      start={(started) => <ActForm action="Start" onSubmit={async () => {
        await request('POST', `${at}/init`, { body: { secret_shares: count, secret_threshold: Number(threshold), require_verification: verify, pgp_keys: pgpBody(pgp, count, keys) } })
        await started()
      }}>
        <div className="columns"><TextField label="Shares" value={shares} onChange={setShares} inputMode="numeric" /><TextField label="Needed" value={threshold} onChange={setThreshold} inputMode="numeric" /></div>
        <Check checked={verify} onChange={setVerify}>Have the new shares proven before the old ones stop working<span className="muted small"><br />A share that was lost or copied wrongly is found out in time.</span></Check>
        <Check checked={pgp} onChange={setPgp}>Encrypt each share for its owner with a PGP key</Check>
        {pgp && count > 0 && count < 256 && <PgpKeys count={count} value={keys} onChange={setKeys} />}
      </ActForm>} />
    {made && <Made title="Keep these now" items={(made.keys_base64 ?? []).map((value, i) => ({ name: `${recovery ? 'Recovery' : 'Unseal'} key share ${i + 1}`, value, note: made.pgp_fingerprints?.[i] && `for ${made.pgp_fingerprints[i]}` }))} onClose={() => setMade(undefined)}>
      <p>{made.verification_required ? 'Until they are proven, the old shares count. Nobody can show these again: give each to its owner, who enters it here next.' : 'The old shares no longer work. Nobody can show these again: give each to its owner.'}</p>
      {!!made.pgp_fingerprints?.length && <p>Each is encrypted for its owner, who decrypts it with <code className="nowrap">{decryptWith}</code>.</p>}</Made>}
  </>
}

/** A root token, for when no other can do what must be done. */
export function GenerateRoot() {
  const at = 'sys/generate-root/attempt'
  const [otp, setOtp] = useState('')
  const [token, setToken] = useState('')
  return <>
    <Ceremony title="A new root token" about="For emergencies: the owners of the unseal keys make one together. Revoke it as soon as it has done its work." begin={at} update="sys/generate-root/update"
      done={async (a) => {
        if (!otp) throw new Error(`The token was made, but the one-time password is where this was started. Decode there: vault operator generate-root -decode=${a.encoded_token} -otp=…`)
        const answer = await request<SysDecodedToken>('POST', 'sys/decode-token', { body: { encoded_token: a.encoded_token, otp }, token: '' })
        setToken(answer.data.token)
        setOtp('')
      }}
      start={(started) => <ActForm action="Start" onSubmit={async () => { setOtp((await request<State>('POST', at, { body: {} })).otp ?? ''); await started() }}>
        <Note>The one-time password that opens the token stays in this page: leave it open until all shares are entered.</Note></ActForm>} />
    <Unsaved when={!!otp}>The one-time password is in this page alone: without it nobody can read the token that is being made.</Unsaved>
    {token && <Made title="A root token" items={[{ name: 'Root token', value: token }]} onClose={() => setToken('')}>It may do everything, and is shown this once.</Made>}
  </>
}

function Made({ title, items, onClose, children }: { title: string; items: { name: string; value: string; note?: ReactNode }[]; onClose: () => void; children: ReactNode }) {
  const [shown, show] = useState('')
  return (
    <Dialog title={title} onClose={onClose} locked wide>
      <Note kind="warn">{children}</Note>
      <ul className="stack-s">{items.map(({ name, value, note }) => (
        <li key={name} className="stack-s"><div className="spread"><span><strong>{name}</strong>{note && <span className="small muted break"> {note}</span>}</span><span className="row">
          <Button small look="quiet" icon={shown === name ? 'eyeOff' : 'eye'} aria-label={`${shown === name ? 'Hide' : 'Show'} ${name}`} onPress={() => show(shown === name ? '' : name)} />
          <CopyButton text={value} what={name} secret /><Button small look="quiet" icon="download" aria-label={`Download ${name}`} onPress={() => save(`${name.toLowerCase().replaceAll(' ', '-')}.txt`, value + '\n')} />
        </span></div><code className="break">{shown === name ? value : '•'.repeat(24)}</code></li>))}</ul>
      <div className="buttons"><Button look="primary" onPress={onClose}>All are kept</Button></div>
      <Unsaved when>These are shown nowhere else and never again.</Unsaved>
    </Dialog>
  )
}
