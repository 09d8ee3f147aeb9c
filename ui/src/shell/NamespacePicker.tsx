import { useQuery, useQueryClient } from '@tanstack/react-query'
import { read } from '../api/client'
import { useNamespace } from '../api/queries'
import { session } from '../api/session'
import { Menu } from '../kit'

/** Which namespace the pages are about. It is only there where there is more than one. */
export function NamespacePicker() {
  const here = useNamespace()
  const client = useQueryClient()
  const { data } = useQuery({
    queryKey: ['namespaces', here],
    queryFn: async () => (await read<{ keys: string[] }>('sys/internal/ui/namespaces')).data.keys ?? [],
    staleTime: 60_000,
  })
  if (!here && !data?.length) return null
  const go = (path: string) => { session.setNamespace(path); void client.resetQueries() }
  const parent = here.split('/').slice(0, -1).join('/')
  const entries = [
    ...(here ? [{ label: parent ? `Up to ${parent}` : 'Up to root', icon: 'up' as const, run: () => go(parent) }] : []),
    ...(data ?? []).map((k) => ({ label: k.replace(/\/$/, ''), run: () => go(here ? `${here}/${k}` : k) })),
  ]
  return <Menu label="Namespace" look="quiet" entries={entries}><span className="account-name">{here || 'root'}</span></Menu>
}
