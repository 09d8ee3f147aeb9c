import { keepPreviousData, queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'

// What operators in Kubernetes report of the resources that use secrets here. The server's active node holds it in memory.

export interface Consumer { cluster: string; kind: string; namespace: string; name: string; paths: string[]; state: string; version: string; synced: string; reporter: string; reported: string }
export interface Consumers {
  resources: Consumer[]
  /** How many there are; resources may be fewer. */
  total: number
  states: Record<string, number>
  /** When the active node began to hold what it is told. */
  since: string
}
export const path = 'sys/kubernetes/consumers'

export const consumers = (search: string, state: string) => queryOptions({
  queryKey: ['consumers', search, state], refetchInterval: 30_000, placeholderData: keepPreviousData,
  queryFn: async ({ signal }) => (await read<Consumers>(path, { signal, query: { search: search || undefined, state: state || undefined } })).data,
})

/** Those that use one path of the API. */
export const consumersOf = (at: string) => queryOptions({
  queryKey: ['consumers of', at], refetchInterval: 30_000, retry: false,
  queryFn: async ({ signal }) => (await read<Consumers>(`${path}/${at}`, { signal })).data,
})
