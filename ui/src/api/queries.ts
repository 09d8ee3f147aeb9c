import { queryOptions, useQuery } from '@tanstack/react-query'
import { useSyncExternalStore } from 'react'
import { read, request, write } from './client'
import { session } from './session'

// The questions that more than one page asks. A page's own stand beside the page.

export interface SealStatus {
  type: string; initialized: boolean; sealed: boolean; t: number; n: number; progress: number; nonce: string; version: string
  recovery_seal: boolean; migration: boolean; removed_from_cluster: boolean; storage_type: string; cluster_name?: string; cluster_id?: string
}

export const sealStatus = queryOptions({
  queryKey: ['seal-status'],
  queryFn: ({ signal }) => request<SealStatus>('GET', 'sys/seal-status', { token: '', signal }),
  refetchInterval: 5000,
  retry: true,
  retryDelay: 2000,
})

export interface Mount { type: string; description: string; accessor: string; options: Record<string, string> | null; config: Record<string, unknown>; local: boolean }
export interface Mounts { auth: Record<string, Mount>; secret: Record<string, Mount> }

/** What is mounted, as far as the caller may use it; the names end in a slash. */
export const mounts = queryOptions({
  queryKey: ['mounts'],
  queryFn: async ({ signal }) => (await read<Mounts>('sys/internal/ui/mounts', { signal })).data,
  staleTime: 30_000,
})

export interface HaNode { hostname: string; api_address: string; cluster_address: string; active_node: boolean; version: string; last_echo: string | null; sealed?: boolean }
export const haStatus = queryOptions({
  queryKey: ['ha-status'],
  queryFn: async ({ signal }) => (await read<{ nodes: HaNode[] }>('sys/ha-status', { signal })).data.nodes,
  refetchInterval: 10_000,
})

export type Capability = 'create' | 'read' | 'update' | 'patch' | 'delete' | 'list' | 'scan' | 'sudo' | 'deny' | 'root'

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
