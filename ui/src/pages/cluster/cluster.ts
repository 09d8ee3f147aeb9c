import { queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'
import type { HaNode } from '../../api/queries'

export interface Member { node_id: string; address: string; leader: boolean; voter: boolean }
export const members = queryOptions({
  queryKey: ['cluster', 'members'], refetchInterval: 5000,
  queryFn: async ({ signal }) => (await read<{ config: { servers: Member[] } }>('sys/storage/raft/configuration', { signal })).data.config.servers,
})

export interface Server { id: string; address: string; node_status: string; node_type: string; last_contact: string; last_term: number; last_index: number; healthy: boolean; stable_since: string; status: string; version: string }
export interface Autopilot { healthy: boolean; failure_tolerance: number; leader: string; servers: Record<string, Server> }
/** How the leader sees the members. A server that is a cluster of one has none. */
export const autopilot = queryOptions({
  queryKey: ['cluster', 'autopilot'], refetchInterval: 5000, retry: false,
  queryFn: async ({ signal }) => (await read<Autopilot>('sys/storage/raft/autopilot/state', { signal })).data,
})

export interface Node extends Member { state: 'active' | 'standby' | 'sealed' | 'unreachable'; health?: Server; api?: HaNode; lag?: number }

const silent = 15_000 // ms without a word from a standby

/** What is known of each member together. Raft runs on sealed nodes too: they keep up, and say that they are sealed. */
export function nodes(all: Member[], pilot: Autopilot | undefined, ha: HaNode[]): Node[] {
  const head = Math.max(0, ...Object.values(pilot?.servers ?? {}).map((s) => s.last_index))
  return all.map((m) => {
    const health = pilot?.servers[m.node_id]
    const api = ha.find((h) => h.cluster_address.replace(/^https?:\/\//, '') === m.address) ?? (all.length === 1 ? ha[0] : undefined)
    const heard = !!api && (api.active_node || !api.last_echo || Date.now() - Date.parse(api.last_echo) < silent)
    const state = api?.active_node ? 'active' : !heard ? 'unreachable' : api.sealed ? 'sealed' : 'standby'
    return { ...m, state, health, api, lag: health && head - health.last_index }
  })
}
