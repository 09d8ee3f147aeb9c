import { queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'
import { isMissing } from '../../api/errors'

export interface Alias { id: string; name: string; mount_accessor: string; mount_path: string; mount_type: string }
export interface Entity { id: string; name: string; disabled: boolean; policies: string[]; metadata: Record<string, string> | null; aliases: Alias[]; direct_group_ids: string[]; inherited_group_ids: string[]; creation_time: string; merged_entity_ids: string[] | null }
export interface Group { id: string; name: string; type: 'internal' | 'external'; policies: string[]; metadata: Record<string, string> | null; member_entity_ids: string[]; member_group_ids: string[]; parent_group_ids: string[]; alias: Partial<Alias> }
export type Of = 'entity' | 'group'
export interface Named { id: string; name: string; aliases?: Alias[]; num_member_entities?: number }

/** All entities, or groups, by name. */
export const named = (of: Of) => queryOptions({
  queryKey: ['identity', of],
  queryFn: async ({ signal }): Promise<Named[]> => {
    try {
      const { data } = await read<{ keys: string[]; key_info: Record<string, Omit<Named, 'id'>> }>(`identity/${of}/id`, { query: { list: true }, signal })
      return data.keys.map((id) => ({ ...data.key_info[id]!, id })).sort((a, b) => a.name < b.name ? -1 : 1)
    } catch (e) {
      if (isMissing(e)) return []
      throw e
    }
  },
})
export const one = <T extends Entity | Group>(of: Of, id: string) => queryOptions({ queryKey: ['identity', of, id], queryFn: async ({ signal }) => (await read<T>(`identity/${of}/id/${id}`, { signal })).data })

/** Lines of key=value as an object. Throws Error for a line that is none. */
export function pairs(text: string): Record<string, string> {
  return Object.fromEntries(text.split('\n').map((l) => l.trim()).filter(Boolean).map((l) => {
    const at = l.indexOf('=')
    if (at < 1) throw new Error(`"${l}" is no key=value.`)
    return [l.slice(0, at).trim(), l.slice(at + 1).trim()]
  }))
}
export const lines = (o: Record<string, string> | null) => Object.entries(o ?? {}).map(([k, v]) => `${k}=${v}`).join('\n')
export const words = (text: string) => text.split(/[\s,]+/).filter(Boolean)
