import { useEffect, useState } from 'react'
import { Note } from '../../kit'
import { Front } from '../../shell/Front'
import { channelName, type Answer, type Taken } from './oidc'
import '../../shell/shell.css'

/** Where a provider comes back to, in its own window: tells the page that asked, then ends this window, or says that one may where the browser forbids it. */
export default function OidcCallback() {
  const [outcome, setOutcome] = useState<'waiting' | 'taken' | 'late'>('waiting')
  useEffect(() => {
    const query = new URLSearchParams(location.search)
    const path = decodeURIComponent(location.pathname).match(/\/vault\/auth\/(.+)\/oidc\/callback$/)?.[1] ?? ''
    const state = query.get('state') ?? ''
    const channel = new BroadcastChannel(channelName)
    const timer = setTimeout(() => setOutcome('late'), 3000)
    channel.onmessage = ({ data }: MessageEvent<Answer | Taken>) => {
      if (!('taken' in data) || data.taken !== state) return
      clearTimeout(timer)
      setOutcome('taken')
      window.close()
    }
    channel.postMessage({ path, state, code: query.get('code') ?? '', error: query.get('error_description') ?? query.get('error') ?? '' } satisfies Answer)
    return () => { channel.close(); clearTimeout(timer) }
  }, [])
  return <Front><div className="front-card">
    {outcome === 'late' ? <Note kind="warn">The page that asked for this is gone. Close this window and sign in again.</Note>
      : outcome === 'taken' ? <p role="status">The page that asked goes on: you can close this window.</p> : <p role="status">Signing in…</p>}
  </div></Front>
}
