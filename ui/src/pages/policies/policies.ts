import { queryOptions } from '@tanstack/react-query'
import { list, read, write } from '../../api/client'
import { ApiError } from '../../api/errors'
import type { SysPolicyText } from '../../api/generated'
import { mounts } from '../../api/queries'
import { document } from '../../api/schema'

export const names = queryOptions({ queryKey: ['policies'], queryFn: ({ signal }) => list('sys/policies/acl', { signal }) })

export const policyText = async (name: string, signal?: AbortSignal) => (await read<SysPolicyText>(`sys/policies/acl/${name}`, { signal })).data.policy
export const policy = (name: string) => queryOptions({ queryKey: ['policies', name], queryFn: ({ signal }) => policyText(name, signal) })

export const savePolicy = (name: string, text: string) => write(`sys/policies/acl/${name}`, { policy: text })

/** Where in the text the server found something wrong, if that is what its refusal says. */
export function faults(error: unknown): { line: number; text: string }[] {
  if (!(error instanceof ApiError) || error.status !== 400) return []
  return error.texts.flatMap((t) => [...t.matchAll(/line (\d+)(?::\d+)?: ([^\n]*)/g)].map((m) => ({ line: Number(m[1]), text: m[2]! })))
}

/** Paths that policies of this server can be about: of what is mounted, then of the API's own description. */
export const knownPaths = queryOptions({
  queryKey: ['policies', 'paths'],
  staleTime: 5 * 60_000,
  queryFn: async ({ client }) => {
    const have = await client.ensureQueryData(mounts)
    const of = (path: string, type: string, v2: boolean) => v2
      ? [{ path: `${path}data/*`, about: 'values' }, { path: `${path}metadata/*`, about: 'names, versions' }, { path: `${path}delete/*`, about: '' }, { path: `${path}undelete/*`, about: '' }, { path: `${path}destroy/*`, about: '' }]
      : [{ path: path + '*', about: type }]
    const own = [...Object.entries(have.secret).flatMap(([p, m]) => of(p, m.type, m.options?.version === '2')), ...Object.entries(have.auth).flatMap(([p, m]) => of(`auth/${p}`, m.type, false))]
    const doc = await client.ensureQueryData(document).catch(() => ({ paths: {} as Record<string, { description?: string }> }))
    const described = Object.entries(doc.paths).map(([p, o]) => ({ path: p.slice(1).replace(/\{[^}]*\}$/, '*').replace(/\{[^}]*\}/g, '+'), about: o.description?.slice(0, 60) ?? '' }))
    return [...new Map([...described, ...own].map((p) => [p.path, p])).values()]
  },
})
