import { queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'
import type { AutopilotServer, AutopilotState, SysHaNode, SysRaftConfiguration, SysServer } from '../../api/generated'

export const members = queryOptions({
  queryKey: ['cluster', 'members'], refetchInterval: 5000,
  queryFn: async ({ signal }) => (await read<SysRaftConfiguration>('sys/storage/raft/configuration', { signal })).data.config.servers,
})

/** How the leader sees the members. A server that is a cluster of one has none. */
export const autopilot = queryOptions({
  queryKey: ['cluster', 'autopilot'], refetchInterval: 5000, retry: false,
  queryFn: async ({ signal }) => (await read<AutopilotState>('sys/storage/raft/autopilot/state', { signal })).data,
})

export type Node = SysServer & { state: 'active' | 'standby' | 'sealed' | 'unreachable'; health?: AutopilotServer; api?: SysHaNode; lag?: number }

const silent = 15_000 // ms without a word from a standby

/** What is known of each member together. Raft runs on sealed nodes too: they keep up, and say that they are sealed. */
export function nodes(all: SysServer[], pilot: AutopilotState | undefined, ha: SysHaNode[]): Node[] {
  const head = Math.max(0, ...Object.values(pilot?.servers ?? {}).map((s) => s.last_index))
  return all.map((m) => {
    const health = pilot?.servers[m.node_id]
    const api = ha.find((h) => h.cluster_address.replace(/^https?:\/\//, '') === m.address) ?? (all.length === 1 ? ha[0] : undefined)
    const heard = !!api && (api.active_node || !api.last_echo || Date.now() - Date.parse(api.last_echo) < silent)
    const state = api?.active_node ? 'active' : !heard ? 'unreachable' : api.sealed ? 'sealed' : 'standby'
    return { ...m, state, health, api, lag: health && head - health.last_index }
  })
}
