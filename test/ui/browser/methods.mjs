// How one logs in: auth methods, their roles and users, and that nothing is offered which the server has not.
import { api, both, check, enter, equal, keys, nodes, open as openPage, setting, until } from './lib.mjs'

/** Enables methods, configures Kubernetes, makes roles and users; a user logs in. */
export async function methods() {
  await api('POST', 'sys/policies/acl/app', { policy: 'path "secret/data/app/*" { capabilities = ["read"] }' })
  const page = await enter(keys.root, '/auth')
  for (const type of ['kubernetes', 'userpass', 'approle']) {
    await page.getByRole('button', { name: 'Enable method' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Type').selectOption(type)
    if (type === 'kubernetes') await both(page, 'enable-method')
    await dialog.getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('link', { name: type + '/' }).waitFor()
  }
  await both(page, 'methods')

  await page.getByRole('link', { name: 'kubernetes/' }).click()
  await page.getByRole('tab', { name: 'Configuration' }).click()
  await page.getByLabel('Kubernetes host').fill('https://127.0.0.1:9')
  await both(page, 'method-config')
  await page.getByRole('button', { name: 'Save configuration' }).click()
  await until('it is configured', async () => (await api('GET', 'auth/kubernetes/config').catch(() => null))?.data.kubernetes_host === 'https://127.0.0.1:9')
  await page.getByRole('tab', { name: 'Roles' }).click()
  await page.getByRole('link', { name: 'Create role' }).click()
  await page.getByLabel('Name', { exact: true }).fill('shop')
  await page.getByLabel('Bound service account names', { exact: true }).fill('shop\nshop-worker')
  await page.getByLabel('Bound service account namespaces', { exact: true }).fill('prod')
  await page.getByLabel('Token policies').fill('app')
  await page.getByLabel('Token TTL').fill('20m')
  await both(page, 'create-role')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor()
  const role = (await api('GET', 'auth/kubernetes/role/shop')).data
  equal([role.bound_service_account_names, role.token_policies, role.token_ttl], [['shop', 'shop-worker'], ['app'], 1200], 'the role')
  await page.getByLabel('Token TTL').fill('30m')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await until('the role is changed', async () => (await api('GET', 'auth/kubernetes/role/shop')).data.token_ttl === 1800)
  await until('the page knows it', () => page.getByRole('button', { name: 'Save', exact: true }).isDisabled()) // else it asks before it is left
  await page.getByRole('link', { name: 'kubernetes/' }).click()
  await page.getByRole('tab', { name: 'Test a login' }).click()
  await page.getByLabel('Token of a service account').fill('not-a-token')
  await page.getByRole('button', { name: 'Log in and out' }).click()
  await page.getByRole('alert').waitFor() // the API server of this configuration is not there
  await both(page, 'login-test')

  await page.getByRole('link', { name: 'Auth methods' }).first().click()
  await page.getByRole('link', { name: 'userpass/' }).click()
  await page.getByRole('link', { name: 'Create user' }).click()
  await page.getByLabel('Name', { exact: true }).fill('ada')
  await page.getByLabel('Password', { exact: true }).fill('correct horse')
  equal(await page.getByLabel('Password', { exact: true }).getAttribute('type'), 'password', 'the field of the password')
  await page.getByLabel('Token policies').fill('app')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: 'ada', level: 1 }).waitFor()
  const { auth } = await api('POST', 'auth/userpass/login/ada', { password: 'correct horse' }, '')
  equal(auth.policies, ['app', 'default'], 'what the user gets')

  await page.getByRole('link', { name: 'Auth methods' }).first().click()
  await page.getByRole('link', { name: 'approle/' }).click()
  await page.getByRole('link', { name: 'Create role' }).click()
  await page.getByLabel('Name', { exact: true }).fill('ci')
  await page.getByLabel('Token policies').fill('app')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('button', { name: 'Copy role ID' }).click()
  const role_id = await page.evaluate(() => navigator.clipboard.readText())
  await page.getByRole('button', { name: 'New secret ID' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Copy', exact: true }).click()
  const secret_id = await page.evaluate(() => navigator.clipboard.readText())
  await both(page, 'secret-id')
  equal((await api('POST', 'auth/approle/login', { role_id, secret_id }, '')).auth.policies, ['app', 'default'], 'what the program gets')
}

/** Roles of the methods for tokens of others and for certificates: made in their forms, and used. */
export async function foreign() {
  const page = await enter(keys.root, '/auth')
  for (const type of ['jwt', 'oidc', 'cert']) {
    await page.getByRole('button', { name: 'Enable method' }).click()
    await page.getByRole('dialog').getByLabel('Type').selectOption(type)
    await page.getByRole('dialog').getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('link', { name: type + '/', exact: true }).waitFor()
  }
  const field = (name) => page.getByRole('main').getByLabel(name, { exact: true })
  const fill = async (values) => { for (const [name, value] of Object.entries(values)) await field(name).fill(value) }
  const open = async (name) => { await page.getByRole('link', { name: 'Auth methods' }).first().click(); await page.getByRole('link', { name: name + '/', exact: true }).click() }
  const configure = async (at, values) => {
    await open(at)
    await page.getByRole('tab', { name: 'Configuration' }).click()
    await fill(values)
    await both(page, `config-${at}`)
    await page.getByRole('button', { name: 'Save configuration' }).click()
    await page.getByText('Configuration saved').last().waitFor()
  }
  const create = async (at, one, values) => {
    await open(at)
    await page.getByRole('link', { name: `Create ${one}` }).click()
    await fill(values)
    await both(page, `create-${at}`)
    await page.getByRole('button', { name: 'Create', exact: true }).click()
    await page.getByRole('heading', { name: values.Name, level: 1 }).waitFor()
  }

  await configure('jwt', { 'JWT validation pubkeys': setting.jwt.key, 'Bound issuer': 'https://issuer.example' })
  await create('jwt', 'role', { Name: 'builds', 'Role type': 'jwt', 'User claim': 'sub', 'Bound audiences': 'strongroom', 'Bound claims': '{ "project": "shop" }', 'Token policies': 'app', 'Token TTL': '5m' })
  equal((await api('GET', 'auth/jwt/role/builds')).data.bound_claims, { project: 'shop' }, 'claims of the role')
  await open('jwt')
  await page.getByRole('tab', { name: 'Test a login' }).click()
  await page.getByRole('tabpanel').getByLabel('Token', { exact: true }).fill(setting.jwt.token)
  await page.getByRole('button', { name: 'Log in and out' }).click()
  await page.getByText('This works').waitFor()
  await both(page, 'login-test-jwt')

  const { oidc } = setting
  await configure('oidc', { 'OIDC discovery URL': oidc.oidc_discovery_url, 'OIDC discovery CA PEM': oidc.oidc_discovery_ca_pem, 'OIDC client ID': oidc.oidc_client_id, 'OIDC client secret': oidc.oidc_client_secret })
  await create('oidc', 'role', { Name: 'people', 'Role type': 'oidc', 'User claim': 'sub', 'Allowed redirect uris': `${nodes[1]}/ui/vault/auth/oidc/oidc/callback`, 'Token policies': 'app' })
  const other = await openPage(nodes[1] + '/ui/', { ignoreHTTPSErrors: true })
  await other.getByLabel('Method').selectOption({ label: 'Single sign-on (OIDC)' })
  await other.getByLabel('Role').fill('people')
  await other.getByRole('button', { name: 'Continue with the provider' }).click()
  await other.locator('nav[aria-label="Main"]').waitFor({ state: 'attached' })

  await create('cert', 'certificate', { Name: 'workers', Certificate: oidc.oidc_discovery_ca_pem, 'Display name': 'worker', 'Allowed common names': 'worker-1\nworker-2', 'Token policies': 'app' })
  const cert = (await api('GET', 'auth/cert/certs/workers')).data
  equal([cert.certificate.trim(), cert.allowed_common_names, cert.token_policies], [oidc.oidc_discovery_ca_pem.trim(), ['worker-1', 'worker-2'], ['app']], 'the certificate')
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByLabel('Type workers to go on').fill('workers')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No certificates yet').waitFor()
}

/** Nothing is offered that this server has not: ways to sign in, methods, engines. */
export async function offered() {
  const { auth, secret } = (await api('GET', 'sys/plugins/catalog')).data
  const options = (select) => select.locator('option').evaluateAll((all) => all.map((o) => o.value))
  const out = await openPage(nodes[0] + '/ui/')
  await out.getByLabel('Method').waitFor()
  const direct = (await options(out.getByLabel('Method'))).filter((v) => !['token', 'other'].includes(v) && !v.includes('@'))
  equal(direct.filter((kind) => !auth.includes(kind)), [], 'ways to sign in that nothing answers')
  check(direct.length > 3 || (await options(out.getByLabel('Method'))).includes('other'), 'no way to sign in is offered')
  const page = await enter(keys.root, '/auth')
  await page.getByRole('button', { name: 'Enable method' }).click()
  const types = async (select) => { await select.locator('option').first().waitFor({ state: 'attached' }); return options(select) }
  equal(await types(page.getByRole('dialog').getByLabel('Type')), auth, 'methods to enable')
  await page.keyboard.press('Escape')
  await page.getByRole('link', { name: 'Secrets', exact: true }).click()
  await page.getByRole('link', { name: 'Enable engine' }).click()
  equal(await types(page.getByLabel('Type')), secret.filter((t) => t !== 'cubbyhole'), 'engines to enable') // which is there always, once

  // Who may not see the catalog may still say what to enable.
  await api('POST', 'sys/policies/acl/mounts-only', { policy: 'path "sys/mounts/*" { capabilities = ["create", "update", "sudo"] }\npath "sys/auth/*" { capabilities = ["create", "update", "sudo"] }\npath "sys/auth" { capabilities = ["read"] }' })
  const { auth: narrow } = await api('POST', 'auth/token/create', { policies: ['mounts-only'], ttl: '1h' })
  const blind = await enter(narrow.client_token, '/secrets/enable')
  await blind.getByLabel('Type').fill('transit')
  await blind.getByLabel('Path', { exact: true }).fill('blind')
  await blind.getByRole('button', { name: 'Enable' }).click()
  await until('it is enabled', async () => !!(await api('GET', 'sys/mounts')).data['blind/'])
}
