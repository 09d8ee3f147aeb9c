import { read, write } from './client'
import type { SysTokenInfo } from './generated'
import { session, type Identity } from './session'

/** Where one signs in: `namespace` is asked, `page` is the one that the pages are about then; `keep` has a reload find the token again. */
export interface Where { namespace: string; page: string; keep: boolean }

/** Looks a token up and makes it the session's. Throws ApiError when the server does not know it. */
export async function adopt(token: string, where: Where) {
  const who = await identify(token, where.namespace)
  session.setNamespace(where.page)
  session.signIn(who, where.keep)
}

async function identify(token: string, namespace: string): Promise<Identity> {
  const { data } = await read<SysTokenInfo>('auth/token/lookup-self', { token, namespace })
  return {
    token, accessor: data.accessor, name: data.display_name || 'token', path: data.path, home: data.namespace_path.replace(/\/$/, ''), renewable: data.renewable ?? false, ttl: data.ttl,
    policies: [...new Set([...data.policies, ...(data.identity_policies ?? [])])],
    expires: data.expire_time ? Date.parse(data.expire_time) : undefined,
  }
}

/** Signs in at an auth method: `path` is below auth/, such as userpass/login/ada. */
export async function signIn(path: string, body: Record<string, unknown>, where: Where) {
  const { auth } = await write('auth/' + path, body, { token: '', namespace: where.namespace })
  if (!auth) throw new Error('The server accepted this but gave no token. Its auth method may be set up wrongly.')
  await adopt(auth.client_token, where)
}

/** Renews the session's token, for as long as it was given before. */
export async function renew(who: Identity) {
  const { auth } = await write('auth/token/renew-self', {}, { token: who.token, namespace: who.home })
  if (auth) session.update({ ...who, ttl: auth.lease_duration, renewable: auth.renewable, expires: Date.now() + auth.lease_duration * 1000 })
}

/** Signs out; a token that came from a login here is revoked, one that was pasted is its owner's to keep. */
export async function leave(who: Identity) {
  const pasted = who.path.startsWith('auth/token/')
  session.signOut()
  if (!pasted) await write('auth/token/revoke-self', {}, { token: who.token, namespace: who.home }).catch(() => {})
}
