import { useState } from 'react'
import { request, type Envelope } from '../../api/client'
import { ApiError } from '../../api/errors'
import { Button, Note, Problem, SecretField, Toasts } from '../../kit'
import { Front } from '../../shell/Front'
import type { Data } from './kv'
import { Values } from './Values'
import './secrets.css'
import '../../shell/shell.css'

/** Opens what someone shared. It needs no session: the token in the link is all, and it works once, so it is used on a click only. */
export default function Unwrap() {
  const [token, setToken] = useState(() => {
    const given = location.hash.slice(1)
    if (given) history.replaceState(history.state, '', location.pathname) // not left in the history
    return given
  })
  const [data, setData] = useState<Data>()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const open = async () => {
    setBusy(true)
    setProblem(undefined)
    try {
      const answer = await request<Envelope<Data>>('POST', 'sys/wrapping/unwrap', { token: token.trim(), body: {} })
      const inner = answer.data ?? {}
      setData('data' in inner && 'metadata' in inner && inner.data && typeof inner.data === 'object' ? inner.data as Data : inner)
    } catch (e) {
      setProblem(e instanceof ApiError && (e.status === 400 || e.status === 403) ? new Error('This link does not work any more: it was opened before, or its time is over. If it was not you who opened it, tell the sender at once.') : e)
    }
    setBusy(false)
  }
  return (
    <Front>
      <div className="front-card wide stack">
        <h1>{data ? 'What was shared with you' : 'Something was shared with you'}</h1>
        {data ? <><Note kind="warn">The link is used up: take what you need now.</Note><Values data={data} /></>
          : <>
            <p className="muted">It can be opened once. Open it when you are ready to keep what is in it.</p>
            <SecretField label="Wrapping token" value={token} onChange={setToken} />
            {problem !== undefined && <Problem error={problem} />}
            <Button look="primary" wide busy={busy} isDisabled={!token.trim()} onPress={open}>Open it</Button>
          </>}
      </div>
      <Toasts />
    </Front>
  )
}
