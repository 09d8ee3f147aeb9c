import { queryOptions } from '@tanstack/react-query'
import { list, read } from '../../api/client'

export type Settings = Record<string, unknown>

/** What the engine keeps, by the segment of the path that it is written at. */
export interface Kind { id: string; many: string; one: string; first: string[]; create: Settings; about: string }
export const kinds: Kind[] = [
  { id: 'config', many: 'Connections', one: 'connection', about: 'Where a database is, and the user by which others are made.', create: { plugin_name: 'postgresql-database-plugin', verify_connection: true },
    first: ['connection_url', 'username', 'password', 'allowed_roles'] },
  { id: 'roles', many: 'Roles', one: 'role', about: 'What users are made for those who ask.', create: {}, first: ['db_name', 'creation_statements', 'default_ttl', 'max_ttl'] },
  { id: 'static-roles', many: 'Static roles', one: 'static role', about: 'Users that stay, with passwords that change.', create: {}, first: ['db_name', 'username', 'rotation_period', 'rotation_schedule', 'rotation_window'] },
]
/** What a new one of a kind begins with, to be changed. */
export const examples: Record<string, Settings> = {
  config: { connection_url: 'postgresql://{{username}}:{{password}}@db.example.com:5432/postgres?sslmode=verify-full' },
  roles: { creation_statements: `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';\nGRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}"`, default_ttl: '1h', max_ttl: '24h' },
  'static-roles': { rotation_period: '24h' },
}

export const names = (mount: string, kind: Kind) => queryOptions({ queryKey: ['database', mount, kind.id], queryFn: ({ signal }) => list(mount + kind.id, { signal }) })
export const one = (mount: string, kind: Kind, name: string) => queryOptions({
  queryKey: ['database', mount, kind.id, name], queryFn: async ({ signal }) => flat((await read<Settings>(`${mount}${kind.id}/${name}`, { signal })).data),
})

/** What is read, by the names that it is written with. Statements are one text, as the database takes them. */
function flat(data: Settings): Settings {
  const { connection_details, root_credentials_rotate_statements, ...rest } = data
  const all: Settings = { ...rest, ...(connection_details as Settings | undefined) }
  if (root_credentials_rotate_statements) all.root_rotation_statements = root_credentials_rotate_statements
  for (const [name, value] of Object.entries(all)) if (isStatements(name)) all[name] = (value as string[]).map((s) => s.replace(/;\s*$/, '')).join(';\n')
  return all
}

export const isStatements = (name: string) => name.endsWith('_statements')
