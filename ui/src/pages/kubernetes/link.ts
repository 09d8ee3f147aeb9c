import type { LinkProps } from '@tanstack/react-router'
import type { Mount } from '../../api/queries'

/** The page of what is at a path of the API; undefined where there is none. `mounts` are the secrets engines. */
export function linkOf(at: string, mounts: Record<string, Mount> | undefined): LinkProps | undefined {
  const mount = Object.keys(mounts ?? {}).filter((m) => at.startsWith(m)).sort((a, b) => b.length - a.length)[0]
  if (!mount) return undefined
  const { type, options } = mounts![mount]!
  const below = at.slice(mount.length)
  if (type !== 'kv' && type !== 'generic') return { to: '/secrets/$mount/list/$', params: { mount, _splat: '' } }
  const name = options?.version === '2' ? /^data\/(.*)$/.exec(below)?.[1] : below
  if (name === undefined) return undefined
  return name === '' || name.endsWith('/') ? { to: '/secrets/$mount/list/$', params: { mount, _splat: name } } : { to: '/secrets/$mount/show/$', params: { mount, _splat: name } }
}
