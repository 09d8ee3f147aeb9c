import { request, write, type Envelope } from '../../api/client'
import type { AuthJwtAuthUrl } from '../../api/generated'

export interface Answer { path: string; state: string; code: string; error: string }
/** What the page that asked tells the provider's window: its answer has arrived. */
export interface Taken { taken: string }

/** The channel on which the provider's window hands over what it was given. Only pages of this origin hear it. */
export const channelName = 'strongroom.oidc'

/**
 * Signs in at an OIDC method: the provider has a window of its own, which comes back to this origin with a code, and that becomes a
 * token here. Returns the token. Errors: the window was blocked, the provider refused, `signal`.
 */
export async function oidcLogin(mount: string, role: string, namespace: string, signal: AbortSignal): Promise<string> {
  const popup = window.open('about:blank', 'strongroom-oidc', 'width=520,height=720') // now, while the click counts
  if (!popup) throw new Error('The browser blocked the window of the provider. Allow pop-ups for this page, then try again.')
  try {
    const nonce = Array.from(crypto.getRandomValues(new Uint8Array(20)), (b) => b.toString(16).padStart(2, '0')).join('') // randomUUID wants TLS
    const redirect = `${location.origin}/ui/vault/auth/${mount}/oidc/callback`
    const { data } = await write<AuthJwtAuthUrl>(`auth/${mount}/oidc/auth_url`, { role, redirect_uri: redirect, client_nonce: nonce }, { token: '', namespace, signal })
    if (!data.auth_url) throw new Error(`The role does not take this UI as a place to come back to. Add ${redirect} to its allowed_redirect_uris.`)
    popup.location.href = new URL(data.auth_url).href
    const answer = await hear(mount, new URL(data.auth_url).searchParams.get('state') ?? '', signal)
    if (answer.error) throw new Error(`The provider refused: ${answer.error}`)
    const { auth } = await request<Envelope<unknown>>('GET', `auth/${mount}/oidc/callback`, { token: '', namespace, signal, query: { state: answer.state, code: answer.code, client_nonce: nonce } })
    if (!auth) throw new Error('The server gave no token for the provider\'s answer. Check the role.')
    return auth.client_token
  } finally {
    popup.close()
  }
}

// Whether the window is still there cannot be told: a provider that keeps its windows apart (Cross-Origin-Opener-Policy) makes it look closed at
// once, and it comes back all the same. So the reader says when to stop waiting.
function hear(mount: string, state: string, signal: AbortSignal) {
  return new Promise<Answer>((resolve, reject) => {
    const channel = new BroadcastChannel(channelName)
    const end = (finish: () => void) => { channel.close(); finish() }
    signal.addEventListener('abort', () => end(() => reject(signal.reason)), { once: true })
    channel.onmessage = ({ data }: MessageEvent<Answer | Taken>) => {
      if ('taken' in data || data.path !== mount || data.state !== state) return
      channel.postMessage({ taken: state } satisfies Taken)
      end(() => resolve(data))
    }
  })
}
