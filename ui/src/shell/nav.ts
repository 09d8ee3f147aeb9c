import type { IconName } from '../kit'

export interface NavEntry {
  label: string
  to: string
  icon: IconName
  /** The letter that leads here after g. */
  key: string
  /** A path of the API: the entry is offered to those who may do `needs` there. Nothing: to everyone. */
  path?: string
  needs?: 'read' | 'list' | 'update' | 'sudo'
}

/** What the side of every page lists. A page adds its line here. */
export const nav: { section: string; entries: NavEntry[] }[] = [
  { section: 'Secrets', entries: [{ label: 'Secrets', to: '/secrets', icon: 'key', key: 's' }] },
  { section: 'Access', entries: [
    { label: 'Policies', to: '/policies', icon: 'shield', key: 'p', path: 'sys/policies/acl', needs: 'list' },
    { label: 'Auth methods', to: '/auth', icon: 'user', key: 'm', path: 'sys/auth', needs: 'read' },
    { label: 'Entities and groups', to: '/identity', icon: 'people', key: 'i', path: 'identity/entity/id', needs: 'list' },
    { label: 'Tokens and leases', to: '/tokens', icon: 'clock', key: 't', path: 'auth/token/lookup-accessor', needs: 'update' },
    { label: 'Namespaces', to: '/namespaces', icon: 'folder', key: 'n', path: 'sys/namespaces', needs: 'list' },
  ] },
  { section: 'Operate', entries: [
    { label: 'Cluster', to: '/cluster', icon: 'server', key: 'c', path: 'sys/storage/raft/configuration', needs: 'read' },
    { label: 'Kubernetes', to: '/kubernetes', icon: 'wheel', key: 'k', path: 'sys/kubernetes/consumers', needs: 'read' },
    { label: 'Quotas', to: '/quotas', icon: 'chart', key: 'q', path: 'sys/quotas/rate-limit', needs: 'list' },
    { label: 'Audit', to: '/audit', icon: 'list', key: 'a', path: 'sys/internal/audit/search', needs: 'read' },
  ] },
]
