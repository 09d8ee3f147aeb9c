// The session is who the reader is: a token, in this module's memory and, only if asked for, in sessionStorage, so that it outlives
// a reload of the tab but not the tab. Nothing else of this UI stores a secret.

export interface Identity {
  token: string
  accessor: string
  name: string
  policies: string[]
  path: string
  /** The namespace that the token is of, without slashes around it; '' is the root. It may enter those below. */
  home: string
  renewable: boolean
  /** Milliseconds since 1970; undefined: it does not expire. */
  expires?: number
  /** Seconds that it was given last. */
  ttl: number
}

/** out: nobody. in: someone. locked: someone who has to sign in again, over the page that stays as it is. */
export type State =
  | { kind: 'out'; reason?: string }
  | { kind: 'in'; who: Identity }
  | { kind: 'locked'; who: Identity; reason: string }

const storageKey = 'strongroom.session'
const namespaceKey = 'strongroom.namespace'

class Session {
  private state: State = { kind: 'out' }
  private listeners = new Set<() => void>()
  private waiting: { since: string; go: () => void; stop: (e: Error) => void }[] = []
  private space = sessionStorage.getItem(namespaceKey) ?? ''

  subscribe = (tell: () => void) => { this.listeners.add(tell); return () => { this.listeners.delete(tell) } }
  now = () => this.state
  token = () => this.state.kind === 'in' ? this.state.who.token : ''
  namespace = () => this.space

  private change(to: State) {
    this.state = to
    this.listeners.forEach((tell) => tell())
  }

  setNamespace(path: string) {
    this.space = path.replace(/^\/+|\/+$/g, '')
    if (this.space) sessionStorage.setItem(namespaceKey, this.space)
    else sessionStorage.removeItem(namespaceKey)
    this.listeners.forEach((tell) => tell())
  }

  signIn(who: Identity, keep: boolean) {
    if (keep) sessionStorage.setItem(storageKey, who.token)
    else sessionStorage.removeItem(storageKey)
    this.change({ kind: 'in', who })
    for (const w of this.waiting.splice(0)) w.go()
  }

  /** What is known of the same token changed, as by a renewal. */
  update(who: Identity) {
    if (this.state.kind === 'in' && this.state.who.token === who.token) this.change({ kind: 'in', who })
  }

  signOut(reason?: string) {
    sessionStorage.removeItem(storageKey)
    this.change({ kind: 'out', reason })
    for (const w of this.waiting.splice(0)) w.stop(new Error('You signed out before this was done.'))
  }

  /** Forgets the token and asks for another, over the page. */
  lock(reason: string) {
    if (this.state.kind !== 'in') return
    sessionStorage.removeItem(storageKey)
    this.change({ kind: 'locked', who: { ...this.state.who, token: '' }, reason })
  }

  /** Resolves when the session has another token than `gone`, which the server refused. */
  replaced(gone: string): Promise<void> {
    if (this.state.kind === 'in' && this.state.who.token !== gone) return Promise.resolve()
    this.lock('Your session has ended: its token expired or was revoked.')
    return new Promise((go, stop) => this.waiting.push({ since: gone, go, stop }))
  }

  /** The token that a reload of this tab left behind, if its owner wanted that. */
  kept = () => sessionStorage.getItem(storageKey)
  isKept = () => sessionStorage.getItem(storageKey) !== null
}

export const session = new Session()
