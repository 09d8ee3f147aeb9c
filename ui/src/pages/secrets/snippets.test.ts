import { expect, test } from 'vitest'
import { cli, kubeName, manifest } from './snippets'

test('shell quoting', () => {
  expect(cli({ mount: 'secret/', v2: true }, 'a/b')).toBe('vault kv get -mount=secret a/b')
  expect(cli({ mount: 'se cret/', v2: true }, "it's; rm $X")).toBe(`vault kv get -mount='se cret' 'it'\\''s; rm $X'`)
})

test('names for Kubernetes', () => {
  expect(kubeName('Longhorn_R2')).toBe('longhorn-r2')
  expect(kubeName('<b>')).toBe('b')
  expect(kubeName('///')).toBe('secret')
})

test('the manifest of the guide', () => {
  const text = manifest({ mount: 'secret/', v2: true }, 'longhorn-r2', ['AWS_ENDPOINTS', 'my-key', "o'k"], { name: 'r2', namespace: 'longhorn-system', role: 'longhorn-role', address: 'http://vault.vault:8200' })
  expect(text).toContain(`      stringData:
        AWS_ENDPOINTS: '{{ .AWS_ENDPOINTS }}'
        my-key: '{{ index . "my-key" }}'
        o_k: '{{ index . "o''k" }}'
  source:
    kv:
      path: 'secret/longhorn-r2'
      version: '2'
`)
})
