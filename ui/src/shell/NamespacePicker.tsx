import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useRouterState } from '@tanstack/react-router'
import { useEffect } from 'react'
import { read } from '../api/client'
import type { Keys } from '../api/generated'
import { useNamespace, useSession } from '../api/queries'
import { session } from '../api/session'
import { Menu } from '../kit'

declare module '@tanstack/react-router' {
  /** The namespace to change to, once the page that asked for it could be left. */
  interface HistoryState { namespace?: string }
}

/** Which namespace the pages are about, and those that one may go to: up to where the token is from, and below. It is only there where there is more than one. */
export function NamespacePicker() {
  const here = useNamespace()
  const state = useSession()
  const client = useQueryClient()
  const navigate = useNavigate()
  const wanted = useRouterState({ select: (s) => s.location.state.namespace })
  const { data } = useQuery({
    queryKey: ['namespaces', here],
    queryFn: async () => (await read<Keys>('sys/internal/ui/namespaces')).data.keys,
    staleTime: 60_000,
  })
  useEffect(() => {
    if (wanted === undefined) return
    session.setNamespace(wanted)
    void client.resetQueries()
    void navigate({ to: '/secrets', replace: true, state: {} })
  }, [wanted, client, navigate])
  if (state.kind === 'out' || !here && !data?.length) return null
  // A page is about one namespace: it is left, which it may refuse for what is typed into it, and only then the namespace changes.
  const go = (path: string) => void navigate({ to: '/secrets', state: { namespace: path } })
  const { home } = state.who
  const above = here === home || !(here + '/').startsWith(home && home + '/') ? []
    : here.split('/').map((_, i, parts) => parts.slice(0, i).join('/')).filter((p) => p.length >= home.length).reverse()
  const entries = [
    ...above.map((p) => ({ label: `Up to ${p || 'root'}`, icon: 'up' as const, run: () => go(p) })),
    ...(data ?? []).map((k) => ({ label: k.replace(/\/$/, ''), run: () => go((here ? `${here}/${k}` : k).replace(/\/$/, '')) })),
  ]
  return <Menu label="Namespace" look="quiet" entries={entries}><span className="visually-hidden">Namespace </span><span className="account-name">{here || 'root'}</span></Menu>
}
