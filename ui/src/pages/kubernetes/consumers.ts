import { keepPreviousData, queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'
import type { SysConsumers } from '../../api/generated'

// What operators in Kubernetes report of the resources that use secrets here. The server's active node holds it in memory.

export type { ConsumerResource as Consumer, SysConsumers as Consumers } from '../../api/generated'
export const path = 'sys/kubernetes/consumers'

export const consumers = (search: string, state: string) => queryOptions({
  queryKey: ['consumers', search, state], refetchInterval: 30_000, placeholderData: keepPreviousData,
  queryFn: async ({ signal }) => (await read<SysConsumers>(path, { signal, query: { search: search || undefined, state: state || undefined } })).data,
})

/** Those that use one path of the API. */
export const consumersOf = (at: string) => queryOptions({
  queryKey: ['consumers of', at], refetchInterval: 30_000, retry: false,
  queryFn: async ({ signal }) => (await read<SysConsumers>(`${path}/${at}`, { signal })).data,
})
