import { infiniteQueryOptions, queryOptions, useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { list, read, remove, write, type WrapInfo } from '../../api/client'
import { ApiError, isMissing } from '../../api/errors'
import type { Keys, KvMetadata, KvSecret } from '../../api/generated'
import { mounts } from '../../api/queries'
import type { Data } from './data'

// The key-value engine as the pages see it, both versions of it: version 1 has values only, version 2 versions and metadata.

export { asText, same, type Data } from './data'
export interface Kv { mount: string; v2: boolean }
export type { KvMetadata as Metadata, KvVersion as VersionInfo } from '../../api/generated'
/** version is 0 where there is nothing yet, and in engines of version 1; data is null when it was deleted or destroyed. */
export interface Secret { data: Data | null; version: number; deleted?: boolean; destroyed?: boolean; created?: string }

export const at = {
  data: (kv: Kv, path: string) => kv.mount + (kv.v2 ? 'data/' : '') + path,
  metadata: (kv: Kv, path: string) => kv.mount + (kv.v2 ? 'metadata/' : '') + path,
  action: (kv: Kv, action: 'delete' | 'undelete' | 'destroy', path: string) => `${kv.mount}${action}/${path}`,
}

/** The engine and the path that the page's address names. kv is undefined until the mounts are known, null when it is none. */
export function useAddress(): { kv: Kv | null | undefined; mount: string; path: string; error: unknown } {
  const { mount: name = '', _splat: path = '' } = useParams({ strict: false }) as { mount?: string; _splat?: string }
  const mount = name.replace(/\/*$/, '/')
  const { data, error } = useQuery(mounts)
  const found = data?.secret[mount]
  const kv = !data ? undefined : found?.type === 'kv' || found?.type === 'generic' ? { mount, v2: found.options?.version === '2' } : null
  return { kv, mount, path, error: data ? null : error } // a page with something typed into it must not go for a failed refresh
}

export const names = (kv: Kv, folder: string) => queryOptions({
  queryKey: ['kv', kv.mount, 'names', folder],
  queryFn: ({ signal }) => list(at.metadata(kv, folder) || kv.mount, { signal }),
})

export const scanPage = 2000

/** The paths of all secrets below a folder, relative to it, in order: a page at a time. */
export const scan = (kv: Kv, folder: string) => infiniteQueryOptions({
  queryKey: ['kv', kv.mount, 'scan', folder],
  queryFn: async ({ signal, pageParam: after }) => {
    try {
      return (await read<Keys>((at.metadata(kv, folder) || kv.mount).replace(/\/+$/, ''), { signal, query: { scan: true, limit: scanPage, after: after || undefined } })).data.keys
    } catch (e) {
      if (isMissing(e)) return []
      throw e
    }
  },
  initialPageParam: '',
  getNextPageParam: (last) => last.length < scanPage ? undefined : last.at(-1),
  staleTime: 30_000,
})

export const metadata = (kv: Kv, path: string) => queryOptions({
  queryKey: ['kv', kv.mount, 'metadata', path],
  queryFn: async ({ signal }) => (await read<KvMetadata>(at.metadata(kv, path), { signal })).data,
  enabled: kv.v2,
})

export const secret = (kv: Kv, path: string, version?: number) => queryOptions({
  queryKey: ['kv', kv.mount, 'secret', path, version ?? 'current'],
  queryFn: ({ signal }) => readSecret(kv, path, version, signal),
  gcTime: 0, // values are not kept when no page shows them
  staleTime: version ? 60_000 : 0,
})

/** Reads a secret. A deleted version is an answer, not an error; a path with nothing at it is ApiError 404. */
export async function readSecret(kv: Kv, path: string, version?: number, signal?: AbortSignal): Promise<Secret> {
  if (!kv.v2) return { data: (await read<Data>(at.data(kv, path), { signal })).data, version: 0 }
  try {
    const { data } = await read<KvSecret>(at.data(kv, path), { signal, query: { version } })
    return { data: data.data, version: data.metadata.version, created: data.metadata.created_time }
  } catch (e) {
    const gone = e instanceof ApiError && e.status === 404 ? (e.data as KvSecret | undefined)?.metadata : undefined
    if (!gone) throw e
    return { data: null, version: gone.version, deleted: gone.deletion_time !== '', destroyed: gone.destroyed, created: gone.created_time }
  }
}

/** Writes a secret; `cas` is the version that the writer has seen: any other there now is ApiError.conflict. Engines of version 1 have no versions. */
export async function writeSecret(kv: Kv, path: string, data: Data, cas: number) {
  await write(at.data(kv, path), kv.v2 ? { data, options: { cas } } : data)
}

/** Hands out the secret as a token that works once, for so many seconds. */
export async function wrapSecret(kv: Kv, path: string, version: number, wrapSeconds: number): Promise<WrapInfo> {
  const answer = await read<unknown>(at.data(kv, path), { wrapSeconds, query: { version: version || undefined } })
  if (!answer.wrap_info) throw new Error('The server did not wrap the answer.')
  return answer.wrap_info
}

export const act = (kv: Kv, action: 'delete' | 'undelete' | 'destroy', path: string, versions: number[]) => write(at.action(kv, action, path), { versions })
export const removeAll = (kv: Kv, path: string) => remove(at.metadata(kv, path))
export const removeLatest = (kv: Kv, path: string) => remove(at.data(kv, path))
