export interface TokenInfo {
  accessor: string; display_name: string; policies: string[]; identity_policies?: string[]; path: string; ttl: number; expire_time: string | null; issue_time?: string; creation_time: number
  entity_id: string; orphan: boolean; renewable?: boolean; type: string; meta: Record<string, string> | null; num_uses: number; explicit_max_ttl: number; period?: number
  namespace_path: string; role?: string; bound_cidrs?: string[]
}
/** A page of names: `limit` after `after`. */
export const pageSize = 200
