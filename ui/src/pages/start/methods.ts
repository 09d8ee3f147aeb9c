import { queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'
import type { SysUiMounts } from '../../api/generated'

// The ways to sign in that this UI knows, and those that the server says it has.

export type Kind = 'token' | 'userpass' | 'oidc' | 'jwt' | 'approle' | 'kubernetes'

/** One way to sign in: `mount` is where its method is, below auth/. */
export interface Way { value: string; label: string; kind: Kind; mount: string }

const kinds: Record<Exclude<Kind, 'token'>, string> = {
  userpass: 'Username and password', oidc: 'Single sign-on (OIDC)', approle: 'AppRole', kubernetes: 'Kubernetes service account', jwt: 'JWT',
}
export const token: Way = { value: 'token', label: 'Token', kind: 'token', mount: '' }
export const other = 'other'

/** Every kind of method, at the path that it has unless someone chose another. */
export const usual: Way[] = Object.entries(kinds).map(([kind, label]) => ({ value: kind, label, kind: kind as Kind, mount: kind }))

/** The methods that the namespace shows to everyone: those tuned to listing_visibility=unauth, each as its description says. */
export const shown = (namespace: string) => queryOptions({
  queryKey: ['ways', namespace],
  queryFn: async ({ signal }): Promise<Way[]> => {
    const { data } = await read<SysUiMounts>('sys/internal/ui/mounts', { token: '', namespace, signal })
    return Object.entries(data.auth).filter(([, m]) => m.type in kinds).map(([path, m]) => {
      const mount = path.replace(/\/$/, '')
      const kind = m.type as Exclude<Kind, 'token'>
      return { value: `${kind}@${mount}`, label: m.description ? `${m.description} (${mount})` : mount === kind ? kinds[kind] : `${kinds[kind]} (${mount})`, kind, mount }
    })
  },
  staleTime: 60_000,
})
