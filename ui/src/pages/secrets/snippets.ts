import type { Kv } from './kv'

// Texts that do elsewhere what the page does. None of them holds a value of a secret.

/** For a POSIX shell. */
const shell = (s: string) => /^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", `'\\''`)}'`
/** For YAML: single quotes take everything but control characters, which need double ones. */
const yaml = (s: string) => /[\x00-\x1f\x7f]/.test(s) ? JSON.stringify(s) : `'${s.replaceAll("'", "''")}'`
/** A name that Kubernetes takes (RFC 1123). */
export const kubeName = (s: string) => s.toLowerCase().replace(/[^a-z0-9.-]+/g, '-').replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '').slice(0, 63).replace(/[^a-z0-9]+$/, '') || 'secret'

export const cli = (kv: Kv, path: string) => `vault kv get -mount=${shell(kv.mount.replace(/\/$/, ''))} ${shell(path)}`
export const curl = (address: string, url: string) => `curl -H "X-Vault-Token: $VAULT_TOKEN" ${shell(`${address}/v1/${url}`)}`

export interface Target { name: string; namespace: string; role: string; address: string }

/** A VaultSecret that carries all keys of the secret into a Secret. */
export function manifest(kv: Kv, path: string, keys: string[], t: Target): string {
  const reference = (k: string) => /^[A-Za-z_]\w*$/.test(k) ? `{{ .${k} }}` : `{{ index . ${JSON.stringify(k)} }}`
  const dataKey = (k: string) => k.replace(/[^A-Za-z0-9._-]/g, '_') || '_'
  const lines = keys.map((k) => `        ${/^[A-Za-z_][\w-]*$/.test(dataKey(k)) ? dataKey(k) : yaml(dataKey(k))}: ${yaml(reference(k))}`)
  return `apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultSecret
metadata:
  name: ${kubeName(t.name)}
  namespace: ${kubeName(t.namespace)}
spec:
  vault:
    address: ${t.address}
    auth:
      kubernetes:
        role: ${yaml(t.role)}
        mountPath: 'kubernetes'
  target:
    name: ${kubeName(t.name)}
    template:
      type: Opaque
      stringData:${lines.length ? '\n' + lines.join('\n') : ' {}'}
  source:
    kv:
      path: ${yaml(kv.mount + path)}
      version: '${kv.v2 ? 2 : 1}'
`
}

/** The rule that lets a role read this secret and nothing else. */
export const policy = (url: string) => `path ${JSON.stringify(url)} {\n  capabilities = ["read"]\n}\n`
