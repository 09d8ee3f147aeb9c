import { queryOptions } from '@tanstack/react-query'
import { list, read } from '../../api/client'
import type { TransitKeyInfo } from '../../api/generated'

export type { TransitKeyInfo as Key } from '../../api/generated'
export const keys = (mount: string) => queryOptions({ queryKey: ['transit', mount], queryFn: ({ signal }) => list(mount + 'keys', { signal }) })
export const key = (mount: string, name: string) => queryOptions({ queryKey: ['transit', mount, name], queryFn: async ({ signal }) => (await read<TransitKeyInfo>(`${mount}keys/${name}`, { signal })).data })

export const toBase64 = (text: string) => btoa(Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b)).join(''))
/** The text that base64 stands for; undefined when it is no text. */
export function fromBase64(code: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(atob(code), (c) => c.charCodeAt(0)))
  } catch {
    return undefined
  }
}
