import { queryOptions, useQuery } from '@tanstack/react-query'
import { list, read } from '../../api/client'
import { isMissing } from '../../api/errors'
import { mounts } from '../../api/queries'

/** Something that a method keeps by name. */
export interface Items { path: string; param: string; one: string; many: string; first: string[] }
/** What a type of method has. `login`: a test logs in with a role and a token. */
export interface Kind { about: string; config?: boolean; items?: Items; login?: boolean }

const roles = (first: string[]): Items => ({ path: 'role', param: '{name}', one: 'role', many: 'roles', first })

export const kinds: Record<string, Kind> = {
  kubernetes: { about: 'Pods log in with the token of their service account.', config: true, login: true, items: roles(['bound_service_account_names', 'bound_service_account_namespaces', 'audience', 'alias_name_source']) },
  jwt: { about: 'Whoever has a token that a known issuer signed.', config: true, login: true, items: roles(['role_type', 'user_claim', 'bound_audiences', 'bound_subject', 'bound_claims', 'groups_claim']) },
  oidc: { about: 'People sign in with a provider of identities.', config: true, items: roles(['role_type', 'user_claim', 'allowed_redirect_uris', 'oidc_scopes', 'bound_claims', 'groups_claim']) },
  approle: { about: 'Programs log in with a role ID and a secret ID.', items: { ...roles(['bind_secret_id', 'secret_id_ttl', 'secret_id_num_uses']), param: '{role_name}' } },
  userpass: { about: 'People log in with a name and a password.', items: { path: 'users', param: '{username}', one: 'user', many: 'users', first: ['password'] } },
  cert: { about: 'Clients log in with a TLS certificate.', config: true, items: { path: 'certs', param: '{name}', one: 'certificate', many: 'certificates', first: ['certificate', 'display_name', 'allowed_common_names', 'allowed_dns_sans'] } },
  token: { about: 'Tokens that are made from tokens. It cannot be disabled.', items: { path: 'roles', param: '{role_name}', one: 'role', many: 'roles', first: ['allowed_policies', 'disallowed_policies', 'orphan', 'renewable', 'token_period'] } },
}
/** What the tokens of nearly every role are; the fields of all of them that are shown at once. */
export const tokenFields = ['token_policies', 'token_ttl', 'token_max_ttl']

export function useMethod(at: string) {
  const { data, error } = useQuery(mounts)
  const mount = data?.auth[at + '/']
  return { mount, kind: mount && (kinds[mount.type] ?? { about: mount.description }), loading: !data, error }
}

/** What is at a path below auth/; null where nothing is. */
export const settings = (path: string) => queryOptions({
  queryKey: ['auth', path], refetchOnWindowFocus: false,
  queryFn: async ({ signal }) => {
    try {
      return (await read<Record<string, unknown>>(path, { signal })).data
    } catch (e) {
      if (isMissing(e)) return null
      throw e
    }
  },
})
export const itemNames = (path: string) => queryOptions({ queryKey: ['auth', path, 'names'], queryFn: ({ signal }) => list(path, { signal }) })
