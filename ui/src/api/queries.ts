import { queryOptions, useQuery } from '@tanstack/react-query'
import { useSyncExternalStore } from 'react'
import { read, request, write } from './client'
import type { SysGrantedHere, SysHaStatus, SysPlugins, SysSealStatus, SysUiMounts } from './generated'
import { session } from './session'

export type { SysHaNode as HaNode, SysSealStatus as SealStatus, SysSeenMount as Mount, SysUiMounts as Mounts } from './generated'

// The questions that more than one page asks. A page's own stand beside the page.

export const sealStatus = queryOptions({
  queryKey: ['seal-status'],
  queryFn: ({ signal }) => request<SysSealStatus>('GET', 'sys/seal-status', { token: '', signal }),
  refetchInterval: 5000,
  retry: true,
  retryDelay: 2000,
})

/** What is mounted, as far as the caller may use it; the names end in a slash. */
export const mounts = queryOptions({
  queryKey: ['mounts'],
  queryFn: async ({ signal }) => (await read<SysUiMounts>('sys/internal/ui/mounts', { signal })).data,
  staleTime: 30_000,
})

/** The types of engines and methods that this server has. */
export const plugins = queryOptions({
  queryKey: ['plugins'], retry: false, staleTime: Infinity, // it changes with the program
  queryFn: async ({ signal }) => (await read<SysPlugins>('sys/plugins/catalog', { signal })).data,
})

export const haStatus = queryOptions({
  queryKey: ['ha-status'],
  queryFn: async ({ signal }) => (await read<SysHaStatus>('sys/ha-status', { signal })).data.nodes,
  refetchInterval: 10_000,
})

export type Capability = SysGrantedHere['capabilities'][number]

/** What the caller may do at each path. Paths are below /v1/. */
export const capabilities = (paths: string[]) => queryOptions({
  queryKey: ['capabilities', ...paths],
  queryFn: async ({ signal }) => (await write<Record<string, Capability[]>>('sys/capabilities-self', { paths }, { signal })).data,
  staleTime: 60_000,
})

/** Whether the caller may do `what` at `path`: false until that is known. */
export function useMay(path: string, ...what: Capability[]): boolean {
  const { data } = useQuery({ ...capabilities([path]), enabled: path !== '' })
  return allows(data?.[path], ...what)
}

export const allows = (have: Capability[] | undefined, ...what: Capability[]) => !!have && (have.includes('root') || what.every((w) => have.includes(w)))

export function useSession() { return useSyncExternalStore(session.subscribe, session.now) }
export function useNamespace() { return useSyncExternalStore(session.subscribe, session.namespace) }
