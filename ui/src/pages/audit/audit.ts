import { queryOptions } from '@tanstack/react-query'
import { read } from '../../api/client'
import type { AuditPage, SysAuditDevice } from '../../api/generated'

/** A record of the audit log, the parts that are shown; docs/format/audit.md has them all. */
export interface AuditRecord {
  time: string
  type: 'request' | 'response'
  error?: string
  auth?: { display_name?: string; policies?: string[]; entity_id?: string; accessor?: string; metadata?: Record<string, string>; token_type?: string }
  request: {
    id: string; operation: string; path: string; namespace?: { id: string; path?: string }; mount_type?: string; mount_point?: string
    remote_address?: string; remote_port?: number; data?: unknown; headers?: Record<string, string[]>; client_token?: string; client_token_accessor?: string; wrap_ttl?: number
  }
  response?: { data?: unknown; auth?: unknown; secret?: { lease_id: string }; warnings?: string[]; wrap_info?: unknown }
}

export type Page = Omit<AuditPage, 'records'> & { records: AuditRecord[] }

export interface Filter { device: string; from: string; to: string; type: string; operation: string; path: string; name: string; request: string; errors: boolean }
export const noFilter: Filter = { device: '', from: '', to: '', type: 'response', operation: '', path: '', name: '', request: '', errors: false }

const wanted = 100
const rounds = 8 // a call of the server looks at a few MiB; a press of the button at no more than that many of them

const query = (f: Filter) => ({
  device: f.device || undefined, from: f.from || undefined, to: f.to || undefined, type: f.type || undefined, operation: f.operation || undefined,
  path_prefix: f.path || undefined, name: f.name || undefined, request_id: f.request || undefined, errors_only: f.errors || undefined,
})

/** The records that match, the newest first, from `cursor` on: as many calls as it takes to have some. */
export async function search(f: Filter, cursor: string, signal?: AbortSignal): Promise<Page> {
  const all: Page = { device: '', node_id: '', records: [], next: cursor, scanned_bytes: 0, skipped_lines: 0 }
  for (let i = 0; i < rounds; i++) {
    const { data } = await read<Page>('sys/internal/audit/search', { query: { ...query(f), limit: wanted, cursor: all.next || undefined }, signal })
    all.device = data.device
    all.node_id = data.node_id
    all.records.push(...data.records)
    all.next = data.next
    all.scanned_bytes += data.scanned_bytes
    all.skipped_lines += data.skipped_lines
    if (all.next === '' || all.records.length >= wanted / 2) break
  }
  return all
}

export type Device = SysAuditDevice
export const devices = queryOptions({
  queryKey: ['audit', 'devices'],
  queryFn: async ({ signal }) => Object.values((await read<Record<string, Device>>('sys/audit', { signal })).data),
})
