import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { request } from '../../api/client'
import { useMay } from '../../api/queries'
import { Button, Confirm, CopyButton, Dialog, Note, Problem, Progress, save, SecretField, TextField } from '../../kit'
import { ActForm, Card, Facts } from '../../kit/parts'

// A ceremony: k of n people each give their share, at their own machines or here; the nonce tells them that it is the same one.
interface State { started: boolean; nonce: string; progress: number; required: number; t?: number; n?: number; otp?: string }
interface Update extends State { complete?: boolean; keys_base64?: string[]; encoded_token?: string }

function useCeremony(begin: string) {
  const client = useQueryClient()
  const { data, error } = useQuery({ queryKey: ['ceremony', begin], queryFn: ({ signal }) => request<State>('GET', begin, { signal }), refetchInterval: 3000 })
  return { state: data, error, again: () => client.invalidateQueries({ queryKey: ['ceremony', begin] }) }
}

function Ceremony({ title, about, begin, update, start, done }: {
  title: string; about: string; begin: string; update: string
  /** The form that starts it; told when it has. */
  start: (started: () => Promise<void>) => ReactNode
  done: (answer: Update) => Promise<void> | void
}) {
  const { state, error, again } = useCeremony(begin)
  const [share, setShare] = useState('')
  const [cancelling, cancel] = useState(false)
  const may = useMay(begin, 'update', 'sudo')
  return (
    <Card title={title} about={about} actions={state?.started && may && <Button small onPress={() => cancel(true)}>Cancel it…</Button>}>
      {error ? <Problem error={error} /> : !state ? null : !state.started ? may && <details className="fold"><summary>Start</summary><div className="stack">{start(again)}</div></details> : <>
        <Facts of={[['Nonce', <span className="row"><code className="break">{state.nonce}</code><CopyButton text={state.nonce} what="nonce" /></span>], ['Shares entered', `${state.progress} of ${state.required}`]]} />
        <Progress done={state.progress} of={state.required} label="Shares entered" />
        <ActForm action="Enter share" label={`Share for ${title}`} disabled={!share.trim()} onSubmit={async () => {
          const answer = await request<Update>('POST', update, { body: { key: share.trim(), nonce: state.nonce } })
          setShare('')
          if (answer.complete) await done(answer)
          await again()
        }}><SecretField label="Key share" value={share} onChange={setShare} hint="Each owner enters theirs, here or elsewhere with the same nonce." /></ActForm>
      </>}
      {cancelling && <Confirm title="Cancel it?" action="Cancel it" onClose={() => cancel(false)} run={() => request('DELETE', begin, { body: { nonce: state?.nonce } }).then(again)}>Shares that were entered are forgotten. Nothing has changed.</Confirm>}
    </Card>
  )
}

/** New unseal (or recovery) keys in place of those there are. */
export function Rekey({ recovery, n, t }: { recovery: boolean; n: number; t: number }) {
  const at = recovery ? 'sys/rekey-recovery-key' : 'sys/rekey'
  const [shares, setShares] = useState(String(n))
  const [threshold, setThreshold] = useState(String(t))
  const [made, setMade] = useState<string[]>()
  return <>
    <Ceremony title={recovery ? 'New recovery keys' : 'New unseal keys'} about="Makes new shares, and the old ones stop working. Do it when someone who has one leaves." begin={`${at}/init`} update={`${at}/update`}
      done={(a) => setMade(a.keys_base64 ?? [])}
      start={(started) => <ActForm action="Start" onSubmit={async () => {
        await request('POST', `${at}/init`, { body: { secret_shares: Number(shares), secret_threshold: Number(threshold) } })
        await started()
      }}><div className="columns"><TextField label="Shares" value={shares} onChange={setShares} inputMode="numeric" /><TextField label="Needed" value={threshold} onChange={setThreshold} inputMode="numeric" /></div></ActForm>} />
    {made && <Made title="Keep these now" items={made.map((value, i) => ({ name: `${recovery ? 'Recovery' : 'Unseal'} key share ${i + 1}`, value }))} onClose={() => setMade(undefined)}>
      The old shares no longer work. Nobody can show these again: give each to its owner.</Made>}
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
        const answer = await request<{ token?: string; data?: { token: string } }>('POST', 'sys/decode-token', { body: { encoded_token: a.encoded_token, otp }, token: '' })
        setToken(answer.data?.token ?? answer.token ?? '')
        setOtp('')
      }}
      start={(started) => <ActForm action="Start" onSubmit={async () => { setOtp((await request<State>('POST', at, { body: {} })).otp ?? ''); await started() }}>
        <Note>The one-time password that opens the token stays in this page: leave it open until all shares are entered.</Note></ActForm>} />
    {token && <Made title="A root token" items={[{ name: 'Root token', value: token }]} onClose={() => setToken('')}>It may do everything, and is shown this once.</Made>}
  </>
}

function Made({ title, items, onClose, children }: { title: string; items: { name: string; value: string }[]; onClose: () => void; children: ReactNode }) {
  const [shown, show] = useState('')
  return (
    <Dialog title={title} onClose={onClose} locked>
      <Note kind="warn">{children}</Note>
      <ul className="stack-s">{items.map(({ name, value }) => (
        <li key={name} className="stack-s"><div className="spread"><strong>{name}</strong><span className="row">
          <Button small look="quiet" icon={shown === name ? 'eyeOff' : 'eye'} aria-label={`${shown === name ? 'Hide' : 'Show'} ${name}`} onPress={() => show(shown === name ? '' : name)} />
          <CopyButton text={value} what={name} secret /><Button small look="quiet" icon="download" aria-label={`Download ${name}`} onPress={() => save(`${name.toLowerCase().replaceAll(' ', '-')}.txt`, value + '\n')} />
        </span></div><code className="break">{shown === name ? value : '•'.repeat(24)}</code></li>))}</ul>
      <div className="buttons"><Button look="primary" onPress={onClose}>All are kept</Button></div>
    </Dialog>
  )
}
