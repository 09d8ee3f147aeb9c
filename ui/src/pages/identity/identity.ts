import { queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'
import { isMissing } from '../../api/errors'
import type { NamedSysEntityListed, NamedSysGroupListed, SysEntityInfo, SysEntityListed, SysGroupInfo, SysGroupListed } from '../../api/generated'

export type { SysEntityInfo as Entity, SysGroupInfo as Group } from '../../api/generated'
export type Of = 'entity' | 'group'
export type Named = { id: string } & Pick<SysEntityListed, 'name'> & Partial<SysEntityListed> & Partial<SysGroupListed>

/** All entities, or groups, by name. */
export const named = (of: Of) => queryOptions({
  queryKey: ['identity', of],
  queryFn: async ({ signal }): Promise<Named[]> => {
    try {
      const { data } = await read<NamedSysEntityListed | NamedSysGroupListed>(`identity/${of}/id`, { query: { list: true }, signal })
      return data.keys.map((id) => ({ ...data.key_info[id]!, id })).sort((a, b) => a.name < b.name ? -1 : 1)
    } catch (e) {
      if (isMissing(e)) return []
      throw e
    }
  },
})
export const one = <T extends SysEntityInfo | SysGroupInfo>(of: Of, id: string) => queryOptions({ queryKey: ['identity', of, id], queryFn: async ({ signal }) => (await read<T>(`identity/${of}/id/${id}`, { signal })).data })

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
