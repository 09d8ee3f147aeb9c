import { useState } from 'react'
import type { WrapInfo } from '../../api/client'
import { Button, CopyButton, Dialog, Note, Problem, Select } from '../../kit'
import { wrapSecret, type Kv } from './kv'

/** Hands a secret to someone by a link that works once. */
export function Share({ kv, path, version, onClose }: { kv: Kv; path: string; version: number; onClose: () => void }) {
  const [seconds, setSeconds] = useState('1800')
  const [wrapped, setWrapped] = useState<WrapInfo>()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const go = async () => {
    setBusy(true)
    try { setWrapped(await wrapSecret(kv, path, version, Number(seconds))) } catch (e) { setProblem(e) }
    setBusy(false)
  }
  const link = wrapped && `${location.origin}/ui/unwrap#${wrapped.token}`
  return (
    <Dialog title="Share once" onClose={onClose}>
      {!wrapped ? <>
        <p className="muted">Makes a link that shows this version of the secret to whoever opens it first, without a login. After that, or when its time is over, it shows nothing: then you know that someone else was there.</p>
        <Select label="It works for" value={seconds} onChange={setSeconds} options={[{ value: '300', label: '5 minutes' }, { value: '1800', label: '30 minutes' }, { value: '14400', label: '4 hours' }, { value: '86400', label: '1 day' }]} />
        {problem !== undefined && <Problem error={problem} />}
        <div className="buttons"><Button onPress={onClose}>Cancel</Button><Button look="primary" busy={busy} onPress={go}>Make the link</Button></div>
      </> : <>
        <Note kind="good">The link works once, for {Math.round(wrapped.ttl / 60)} minutes. Send it over a channel that you trust; the other end must reach this server.</Note>
        <div className="snippet"><pre tabIndex={0} aria-label="Link">{link}</pre><CopyButton text={link!} what="the link" /></div>
        <p className="small muted">On the command line: <code>vault unwrap TOKEN</code>, with what stands after #.</p>
        <div className="buttons"><Button look="primary" onPress={onClose}>Done</Button></div>
      </>}
    </Dialog>
  )
}
