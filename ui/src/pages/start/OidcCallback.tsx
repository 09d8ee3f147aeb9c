import { useEffect, useState } from 'react'
import { Note } from '../../kit'
import { Front } from '../../shell/Front'
import { channelName } from './oidc'
import '../../shell/shell.css'

/** Where a provider comes back to, in its own window: tells the page that asked, which ends this window. */
export default function OidcCallback() {
  const [late, setLate] = useState(false)
  useEffect(() => {
    const query = new URLSearchParams(location.search)
    const path = decodeURIComponent(location.pathname).match(/\/vault\/auth\/(.+)\/oidc\/callback$/)?.[1]
    const channel = new BroadcastChannel(channelName)
    channel.postMessage({ path, state: query.get('state') ?? '', code: query.get('code') ?? '', error: query.get('error_description') ?? query.get('error') ?? '' })
    const timer = setTimeout(() => setLate(true), 3000)
    return () => { channel.close(); clearTimeout(timer) }
  }, [])
  return <Front><div className="front-card">{late ? <Note kind="warn">The page that asked for this is gone. Close this window and sign in again.</Note> : <p>Signing in…</p>}</div></Front>
}
