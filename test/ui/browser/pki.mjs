// A certificate authority on its pages: a root, a role, a certificate made and revoked.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { api, both, check, enter, equal, keys } from './lib.mjs'

const at = '/secrets/pki%2F/'

/** A root and a role are made, a certificate is issued, its key revealed, and it is revoked. */
export async function day() {
  await api('POST', 'sys/mounts/pki', { type: 'pki', config: { max_lease_ttl: '87600h' } })
  const page = await enter(keys.root, at + 'list/')
  await page.getByText('No issuers yet').waitFor()
  await page.getByRole('link', { name: 'Create root' }).click()
  await page.getByLabel('Common name', { exact: true }).fill('Example Root')
  await page.getByLabel('Issuer name', { exact: true }).fill('main')
  await both(page, 'pki-root')
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('heading', { name: 'main', level: 1 }).waitFor()
  const { data: root } = await api('GET', 'pki/issuer/main')
  equal((await page.getByLabel('Certificate', { exact: true }).innerText()).trim(), root.certificate.trim(), 'the root')
  await both(page, 'pki-issuer')

  await page.getByRole('link', { name: 'pki/' }).click()
  await page.getByRole('link', { name: 'Create role' }).click()
  await page.getByLabel('Name', { exact: true }).fill('web')
  await page.getByLabel('Allowed domains', { exact: true }).fill('example.com')
  await page.getByText('Allow subdomains').click()
  await page.getByLabel('Key type', { exact: true }).fill('ec')
  await page.getByLabel('Key bits', { exact: true }).fill('256')
  await page.getByLabel('Max TTL', { exact: true }).fill('72h')
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('heading', { name: 'web', level: 1 }).waitFor()
  equal((await api('GET', 'pki/roles/web')).data.allowed_domains, ['example.com'], 'the role')

  await page.getByLabel('Common name', { exact: true }).fill('evil.test')
  await page.getByRole('button', { name: 'Issue', exact: true }).click()
  await page.getByText('common name evil.test not allowed by this role').waitFor()
  await page.getByLabel('Common name', { exact: true }).fill('app.example.com')
  await page.getByRole('button', { name: 'Issue', exact: true }).click()
  await page.getByText('is shown here only').waitFor()
  equal(await page.getByText(/-----BEGIN .*PRIVATE KEY/).count(), 0, 'the key before it is asked for')
  await page.getByRole('button', { name: 'Reveal the private key' }).click()
  createPrivateKey(await page.getByLabel('Private key', { exact: true }).innerText()) // with its lines as they were
  await both(page, 'pki-key')
  const made = new X509Certificate(await page.getByLabel('Certificate', { exact: true }).innerText())
  check(made.verify(new X509Certificate(root.certificate).publicKey) && made.checkHost('app.example.com'), 'a certificate of the root')
  await page.getByRole('button', { name: 'Hide the private key' }).click()
  await both(page, 'pki-issued')

  const serial = made.serialNumber.toLowerCase().match(/../g).join(':')
  await page.getByRole('status').getByRole('link', { name: serial }).click()
  await page.getByRole('heading', { name: serial, level: 1 }).waitFor()
  await page.getByRole('button', { name: 'Revoke…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('revoked', { exact: true }).waitFor()
  equal(await page.getByRole('button', { name: 'Revoke…' }).count(), 0, 'offers to revoke again')
  check((await api('GET', 'pki/cert/' + serial)).data.revocation_time > 0, 'it is revoked')
  await both(page, 'pki-revoked')
  await page.getByRole('link', { name: 'pki/' }).click()
  await page.getByRole('link', { name: serial }).waitFor()
  await both(page, 'pki')
}

/** Who may only issue by one role is offered that, and nothing else. */
export async function narrow() {
  await api('POST', 'sys/policies/acl/issuing', { policy: 'path "pki/roles/web" { capabilities = ["read"] }\npath "pki/issue/web" { capabilities = ["update"] }' })
  const { auth } = await api('POST', 'auth/token/create', { policies: ['issuing'], ttl: '1h' })
  const page = await enter(auth.client_token, at + 'show/roles/web')
  await page.getByText('may read this role, not change it').waitFor()
  await page.getByLabel('Common name', { exact: true }).fill('narrow.example.com')
  await page.getByRole('button', { name: 'Issue', exact: true }).click()
  await page.getByText('is shown here only').waitFor()
  equal(await page.getByRole('button', { name: /^(Delete|Save|Revoke…)$/ }).count(), 0, 'offers what would be refused')
  await both(page, 'pki-narrow')
  await page.getByRole('status').getByRole('link').click()
  await page.getByText('-----BEGIN CERTIFICATE').waitFor()
  equal(await page.getByRole('button', { name: 'Revoke…' }).count(), 0, 'offers to revoke')
  await page.getByRole('link', { name: 'pki/' }).click()
  await page.getByText('You may not list the roles').waitFor()
  equal(await page.getByRole('link', { name: /^Create/ }).count(), 0, 'offers to create')
  const small = await enter(keys.root, at + 'list/', { width: 360, height: 720 })
  await small.getByRole('heading', { name: 'Certificates' }).waitFor()
  await both(small, 'small-pki')
}
