import { queryOptions } from '@tanstack/react-query'
import { list, read } from '../../api/client'

export interface Key {
  name: string; type: string; latest_version: number; min_decryption_version: number; min_encryption_version: number; deletion_allowed: boolean; derived: boolean; exportable: boolean
  allow_plaintext_backup: boolean; auto_rotate_period: number; supports_encryption: boolean; supports_decryption: boolean; supports_signing: boolean
  keys: Record<string, number | { creation_time: string; public_key?: string }>
}
export const keys = (mount: string) => queryOptions({ queryKey: ['transit', mount], queryFn: ({ signal }) => list(mount + 'keys', { signal }) })
export const key = (mount: string, name: string) => queryOptions({ queryKey: ['transit', mount, name], queryFn: async ({ signal }) => (await read<Key>(`${mount}keys/${name}`, { signal })).data })

export const toBase64 = (text: string) => btoa(Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b)).join(''))
/** The text that base64 stands for; undefined when it is no text. */
export function fromBase64(code: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(atob(code), (c) => c.charCodeAt(0)))
  } catch {
    return undefined
  }
}
