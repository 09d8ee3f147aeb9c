// Who may do what: policies, auth methods, tokens, entities.
import { api, both, check, enter, equal, keys, nodes, open as openPage, retype, setting, signIn, until, vault } from './lib.mjs'

const text = (page) => page.getByRole('textbox', { name: 'Text of the policy' })
const denied = async (promise) => check(await promise.then(() => false, (e) => / 40[03] /.test(e.message)), 'it was not refused')

/** A policy with a fault is refused at its line; mended, it holds. Another editor's change is not overwritten unseen. */
export async function policies() {
  const page = await enter(keys.root, '/policies')
  await page.getByRole('link', { name: 'default' }).waitFor()
  await both(page, 'policies')
  await page.getByRole('link', { name: 'Create policy' }).click()
  await page.getByLabel('Name', { exact: true }).fill('payments')
  await retype(text(page), '\n')
  await text(page).pressSequentially('path "secret/met')
  await page.getByRole('option', { name: /^secret\/metadata\/\*/ }).waitFor()
  await page.keyboard.press('Escape')
  await retype(text(page), 'path "secret/data/payments/*" {\n  capabilites = ["read"]\n}\n')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('alert').filter({ hasText: 'line 2' }).waitFor()
  equal(await page.locator('.cm-lintRange-error').allInnerTexts(), ['  capabilites = ["read"]'], 'what is marked')
  await both(page, 'policy-fault')
  await retype(text(page), 'path "secret/data/payments/*" {\n  capabilities = ["read"]\n}\n')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: 'payments', level: 1 }).waitFor()
  const { auth } = await api('POST', 'auth/token/create', { policies: ['payments'], ttl: '1h' })
  await denied(api('POST', 'secret/data/payments/a', { data: {} }, auth.client_token))

  await api('POST', 'sys/policies/acl/payments', { policy: 'path "secret/data/payments/*" { capabilities = ["list"] }' })
  await retype(text(page), 'path "secret/data/payments/*" {\n  capabilities = ["read", "create"]\n}\n')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await page.getByText('Someone else changed this policy').waitFor()
  check((await api('GET', 'sys/policies/acl/payments')).data.policy.includes('list'), 'the other change was overwritten unseen')
  await page.getByRole('button', { name: 'Save mine over theirs' }).click()
  await until('the policy is saved', async () => (await api('GET', 'sys/policies/acl/payments')).data.policy.includes('create'))
  await api('POST', 'secret/data/payments/a', { data: { a: 'b' } }, auth.client_token)

  await page.getByRole('link', { name: 'Policies' }).first().click()
  await page.getByRole('tab', { name: 'Test a token' }).click()
  await page.getByLabel('Token', { exact: true }).selectOption('accessor')
  await page.getByLabel('Accessor').fill(auth.accessor)
  await page.getByLabel('Paths').fill('secret/data/payments/a\nsys/mounts')
  await page.getByRole('button', { name: 'Ask' }).click()
  const row = (path) => page.getByRole('row').filter({ hasText: path })
  await row('secret/data/payments/a').getByText('create').waitFor()
  await row('sys/mounts').getByText('deny').waitFor()
  await both(page, 'policy-test')

  await page.getByRole('tab', { name: 'Policies' }).click()
  await page.getByRole('link', { name: 'payments' }).click()
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByLabel('Type payments to go on').fill('payments')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('link', { name: 'default' }).waitFor()
  await denied(api('POST', 'secret/data/payments/a', { data: {} }, auth.client_token))
}

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

/** A password policy: its fault is said, it makes a sample, it is changed and deleted. */
export async function passwords() {
  const page = await enter(keys.root, '/policies')
  await page.getByRole('tab', { name: 'Passwords' }).click()
  await page.getByText('No password policies yet').waitFor()
  await both(page, 'passwords-none')
  await page.getByRole('link', { name: 'Create password policy' }).click()
  const text = page.getByRole('textbox', { name: 'Text of the password policy' })
  await page.getByLabel('Name', { exact: true }).fill('pins')
  await retype(text, 'length = 2\nrule "charset" {\n  charset = "0123456789"\n  min-chars = 9\n}\n')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('alert').filter({ hasText: 'password policy' }).waitFor()
  await retype(text, 'length = 12\nrule "charset" {\n  charset = "0123456789"\n}\n')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: 'pins', level: 1 }).waitFor()
  await page.getByRole('button', { name: 'Generate a sample' }).click()
  await page.locator('code').filter({ hasText: /^[0-9]{12}$/ }).waitFor()
  await both(page, 'password-policy')
  await retype(text, 'length = 6\nrule "charset" {\n  charset = "0123456789"\n}\n')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await until('it is saved', async () => (await api('GET', 'sys/policies/password/pins')).data.policy.includes('length = 6'))
  await page.getByRole('button', { name: 'Generate a sample' }).click()
  await page.locator('code').filter({ hasText: /^[0-9]{6}$/ }).waitFor()
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByLabel('Type pins to go on').fill('pins')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await until('it is gone', () => api('GET', 'sys/policies/password/pins').then(() => false, (e) => e.message.includes('404')))
}

/** A token is looked up, renewed and revoked; all below a prefix are. */
export async function tokens() {
  const { auth } = await api('POST', 'auth/token/create', { policies: ['app'], ttl: '1h', display_name: 'batch-job' })
  const page = await enter(keys.root, '/tokens')
  await page.getByLabel('Accessor').fill(auth.accessor)
  await page.getByRole('button', { name: 'Look up' }).click()
  await page.getByRole('heading', { name: 'token-batch-job' }).waitFor()
  await both(page, 'token')
  await page.getByRole('button', { name: 'Revoke…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke' }).click()
  await denied(until('it is revoked', async () => { await api('GET', 'auth/token/lookup-self', undefined, auth.client_token); return false }))

  await page.getByRole('tab', { name: 'Create a token' }).click()
  await page.getByLabel('Policies').fill('app')
  await page.getByRole('button', { name: 'Create the token' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Copy', exact: true }).click()
  const made = await page.evaluate(() => navigator.clipboard.readText())
  await both(page, 'token-made')
  equal((await api('GET', 'auth/token/lookup-self', undefined, made)).data.policies, ['app', 'default'], 'the token that was made')
  await page.getByRole('dialog').getByRole('button', { name: 'Done' }).click()

  const ada = (await api('POST', 'auth/userpass/login/ada', { password: 'correct horse' }, '')).auth
  await page.getByRole('tab', { name: 'Leases' }).click()
  for (const part of ['auth/', 'userpass/', 'login/', 'ada/']) await page.getByRole('region', { name: 'Leases' }).getByRole('button', { name: part, exact: true }).click()
  await both(page, 'leases')
  await page.getByRole('region', { name: 'Leases' }).getByRole('button').first().click()
  const lease = page.getByRole('dialog', { name: 'Lease' })
  await lease.getByText('Ends').waitFor()
  await both(page, 'lease')
  const lease_id = await lease.locator('code').first().innerText()
  await lease.getByText('It is a token').waitFor()
  equal(await lease.getByRole('button', { name: 'Renew' }).count(), 0, 'offers to renew what the server does not renew here')
  await lease.getByRole('button', { name: 'Revoke' }).click()
  await lease.waitFor({ state: 'detached' })
  await denied(api('POST', 'sys/leases/lookup', { lease_id }))
  const another = (await api('POST', 'auth/userpass/login/ada', { password: 'correct horse' }, '')).auth
  await until('its lease is listed', async () => {
    await page.getByRole('button', { name: 'login', exact: true }).click()
    await page.getByRole('region', { name: 'Leases' }).getByRole('button', { name: 'ada/', exact: true }).click()
    return page.getByRole('button', { name: 'Revoke all of these…' }).isVisible()
  })
  await page.getByRole('button', { name: 'Revoke all of these…' }).click()
  await page.getByLabel(/^Type .* to go on$/).fill('ada')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke all' }).click()
  await page.getByText('Nothing is lent here').waitFor()
  for (const t of [ada, another]) await denied(api('GET', 'auth/token/lookup-self', undefined, t.client_token))
}

/** An entity is put into a group, and its token has the group's policies; two entities become one. */
export async function identity() {
  await api('POST', 'sys/policies/acl/lift', { policy: 'path "secret/data/lift" { capabilities = ["read"] }' })
  await vault('kv', 'put', 'secret/lift', 'a=b')
  const ada = (await api('POST', 'auth/userpass/login/ada', { password: 'correct horse' }, '')).auth
  await denied(api('GET', 'secret/data/lift', undefined, ada.client_token))
  const other = (await api('POST', 'identity/entity', { name: 'ada-elsewhere' })).data.id
  const outside = (await api('POST', 'identity/group', { name: 'outside', type: 'external' })).data.id
  const page = await enter(keys.root, '/identity')
  await page.getByText('ada at auth/userpass/').waitFor()
  await both(page, 'entities')
  const name = (await api('GET', `identity/entity/id/${ada.entity_id}`)).data.name
  await page.getByRole('tab', { name: 'Groups' }).click()
  await page.getByRole('button', { name: 'Create group' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('operators')
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
  await page.getByRole('heading', { name: 'operators', level: 1 }).waitFor()
  await page.getByLabel('Policies').fill('lift')
  await page.getByLabel('Add to member entities').selectOption({ label: name })
  await both(page, 'group')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await until('the group gives its policies', () => api('GET', 'secret/data/lift', undefined, ada.client_token).then(() => true, () => false))

  await page.getByRole('link', { name: 'Entities and groups' }).first().click()
  await page.getByRole('link', { name, exact: true }).click()
  await page.getByRole('button', { name: 'Merge others into it…' }).click()
  await page.getByRole('dialog').getByLabel('Add to entities to merge').selectOption({ label: 'ada-elsewhere' })
  await page.getByRole('dialog').getByRole('button', { name: 'Merge', exact: true }).click()
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  equal((await api('GET', `identity/entity/id/${ada.entity_id}`)).data.merged_entity_ids, [other], 'what was merged')
  await both(page, 'entity')

  // An alias is given, changed and taken away; so is the alias of an external group.
  await page.getByRole('button', { name: 'Add an alias' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Auth method').selectOption('approle/')
  await dialog.getByLabel('Name there').fill('a-role-id')
  await dialog.getByLabel('Metadata of the alias').fill('team=storage')
  await both(page, 'entity-alias')
  await dialog.getByRole('button', { name: 'Add' }).click()
  await dialog.waitFor({ state: 'detached' })
  const aliases = async () => (await api('GET', `identity/entity/id/${ada.entity_id}`)).data.aliases.filter((a) => a.mount_path === 'auth/approle/').map((a) => [a.name, a.custom_metadata])
  await page.getByText('team=storage').waitFor()
  equal(await aliases(), [['a-role-id', { team: 'storage' }]], 'the alias')
  await page.getByRole('button', { name: 'Change a-role-id' }).click()
  await dialog.getByLabel('Name there').fill('another-role-id')
  await dialog.getByLabel('Metadata of the alias').fill('team=compute')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByText('team=compute').waitFor()
  equal(await aliases(), [['another-role-id', { team: 'compute' }]], 'the changed alias')
  await page.getByRole('button', { name: 'Remove another-role-id' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click()
  await until('the alias is gone', async () => (await aliases()).length === 0)

  await page.getByRole('link', { name: 'Entities and groups' }).first().click()
  await page.getByRole('tab', { name: 'Groups' }).click()
  await page.getByRole('link', { name: 'outside' }).click()
  await page.getByRole('button', { name: 'Set it' }).click()
  await dialog.getByLabel('Name there').fill('admins')
  await dialog.getByRole('button', { name: 'Add' }).click()
  await page.getByRole('button', { name: 'Change it' }).click()
  await dialog.getByLabel('Name there').fill('operators')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await until('the group has its alias', async () => (await api('GET', `identity/group/id/${outside}`)).data.alias.name === 'operators')
  await both(page, 'group-external')
  await page.getByRole('button', { name: 'Remove it' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click()
  await until('the group has none', async () => !(await api('GET', `identity/group/id/${outside}`)).data.alias?.name)
}

/** A key encrypts, is rotated, decrypts what it encrypted before, and does all else that keys do. */
export async function transit() {
  await api('POST', 'sys/mounts/transit', { type: 'transit' })
  const page = await enter(keys.root, '/secrets/transit%2F/list/')
  await page.getByRole('button', { name: 'Create key' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('orders')
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
  await page.getByRole('link', { name: 'orders' }).click()
  const tool = async (name) => {
    await page.getByRole('tab', { name, exact: true }).click()
    const panel = page.getByRole('tabpanel', { name, exact: true })
    const form = panel.getByRole('form', { name, exact: true })
    return { panel, form, run: () => form.getByRole('button').last().click(), text: (re) => panel.locator('code').filter({ hasText: re }).innerText() }
  }
  const plain = 'größer als ASCII ✓'
  const encrypt = await tool('Encrypt')
  await encrypt.form.getByLabel('Text').fill(plain)
  await encrypt.run()
  const ciphertext = await encrypt.text(/^vault:v1:/)
  await both(page, 'transit')
  await page.getByRole('button', { name: 'Rotate…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Rotate' }).click()
  await page.getByText('version 2').waitFor()
  const decrypt = await tool('Decrypt')
  await decrypt.form.getByLabel('Ciphertext').fill(ciphertext)
  await decrypt.run()
  await decrypt.panel.getByRole('button', { name: 'Reveal the plaintext' }).click()
  await decrypt.panel.getByText(plain).waitFor()
  const rewrap = await tool('Rewrap')
  await rewrap.form.getByLabel('Ciphertext').fill(ciphertext)
  await rewrap.run()
  const again = (await api('POST', 'transit/decrypt/orders', { ciphertext: await rewrap.text(/^vault:v2:/) })).data.plaintext
  equal(Buffer.from(again, 'base64').toString(), plain, 'what was rewrapped')
  const datakey = await tool('Data key')
  await datakey.form.getByLabel('Size').selectOption('512 bits')
  await datakey.run()
  equal(Buffer.from((await api('POST', 'transit/decrypt/orders', { ciphertext: await datakey.text(/^vault:v2:/) })).data.plaintext, 'base64').length, 64, 'bytes of the data key')
  equal(await datakey.panel.getByText('Key, in base64').count(), 0, 'keys that were shown unasked')
  await datakey.form.getByText('Show the key too').click()
  await datakey.run()
  await datakey.panel.getByRole('button', { name: 'Reveal the key' }).click()
  equal((await api('POST', 'transit/decrypt/orders', { ciphertext: await datakey.text(/^vault:v2:/) })).data.plaintext, await datakey.text(/^[A-Za-z0-9+/=]+$/), 'the data key')
  await both(page, 'transit-datakey')
  const hmac = await tool('HMAC')
  await hmac.form.getByLabel('Text').fill(plain)
  await hmac.run()
  const mac = await hmac.text(/^vault:v2:/)
  const verify = await tool('Verify')
  await verify.form.getByLabel('Text').fill(plain)
  await verify.form.getByLabel('HMAC').fill(mac)
  await verify.run()
  await verify.panel.getByText('It is good').waitFor()
  await verify.form.getByLabel('Text').fill(plain + '!')
  await verify.run()
  await verify.panel.getByText('It is not of this text and key').waitFor()
  equal(await (await tool('Encrypt')).form.getByLabel('Text').inputValue(), plain, 'what was typed into another tool')

  // A key that signs: its signatures, and its HMACs, are verified by the same tool.
  await api('POST', 'transit/keys/signer', { type: 'ecdsa-p256' })
  await page.goto(nodes[0] + '/ui/secrets/transit%2F/show/signer')
  await signIn(page, keys.root)
  const proofs = []
  for (const [name, re] of [['Sign', /^vault:v1:/], ['HMAC', /^vault:v1:/]]) {
    const t = await tool(name)
    await t.form.getByLabel('Text').fill(plain)
    await t.run()
    proofs.push(await t.text(re))
  }
  equal((await api('POST', 'transit/verify/signer', { input: Buffer.from(plain).toString('base64'), signature: proofs[0] })).data.valid, true, 'the signature')
  for (const proof of proofs) {
    const t = await tool('Verify')
    await t.form.getByLabel('Text').fill(plain)
    await t.form.getByLabel('Signature or HMAC').fill(proof)
    await t.run()
    await t.panel.getByText('It is good').waitFor()
    await t.form.getByLabel('Text').fill('another')
    await t.run()
    await t.panel.getByText('It is not of this text and key').waitFor()
  }
  await both(page, 'transit-verify')
}

/** A namespace is made, entered, left and deleted. */
export async function namespaces() {
  const page = await enter(keys.root, '/namespaces')
  await page.getByText('No namespaces here').waitFor()
  await page.getByRole('button', { name: 'Create namespace' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('team-a')
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
  await page.getByRole('button', { name: 'team-a/' }).click()
  await page.getByRole('button', { name: 'Up' }).click()
  await page.getByRole('button', { name: 'Delete team-a' }).waitFor()
  await both(page, 'namespaces')
  await page.getByRole('button', { name: 'Delete team-a' }).click()
  await page.getByLabel('Type team-a to go on').fill('team-a')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No namespaces here').waitFor()
}

/** A token with a narrow policy sees one page of these, and no button that it may not press. */
export async function narrowAccess() {
  await api('POST', 'sys/policies/acl/looks-at-policies', { policy: 'path "sys/policies/acl" { capabilities = ["list"] }\npath "sys/policies/acl/*" { capabilities = ["read"] }' })
  const { auth } = await api('POST', 'auth/token/create', { policies: ['looks-at-policies'], ttl: '1h' })
  const page = await enter(auth.client_token, '/policies')
  await page.getByRole('link', { name: 'default' }).waitFor()
  equal(await page.locator('nav[aria-label="Main"]').getByRole('link').allInnerTexts(), ['Secrets', 'Policies'], 'what is offered')
  equal(await page.getByRole('link', { name: 'Create policy' }).count(), 0, 'offers to create')
  await page.getByRole('link', { name: 'default' }).click()
  await page.getByText('may read this policy, not change it').waitFor()
  equal(await page.getByRole('button', { name: /^(Save|Delete)$/ }).count(), 0, 'offers to change')
  await both(page, 'policy-read-only')
}

/** Names and metadata that look like HTML are text here too. */
export async function accessMarkup() {
  const evil = `<img src=x onerror="window.owned=1">`
  await api('POST', `sys/policies/acl/${encodeURIComponent(evil)}`, { policy: `# ${evil}</script>\npath "a" { capabilities = ["read"] }` })
  await api('POST', 'identity/entity', { name: evil, metadata: { [evil]: evil } })
  await api('POST', 'auth/token/roles/' + encodeURIComponent('"><svg onload=window.owned=1>'), { allowed_policies: [evil] })
  await api('POST', 'sys/auth/evil', { type: 'userpass', description: evil })
  const { id: of } = (await api('POST', 'identity/entity', { name: 'has-a-strange-alias' })).data
  const { accessor } = (await api('GET', 'sys/auth')).data['userpass/']
  await api('POST', 'identity/entity-alias', { name: evil, mount_accessor: accessor, canonical_id: of, custom_metadata: { [evil]: evil } })
  await api('POST', `sys/policies/password/${encodeURIComponent(evil)}`, { policy: `# ${evil}\nlength = 8\nrule "charset" { charset = "<>&\\"'abc" }` })
  await api('POST', `sys/quotas/rate-limit/${encodeURIComponent(evil)}`, { rate: 1e6 })
  const page = await enter(keys.root, '/quotas')
  await page.getByRole('button', { name: evil, exact: true }).click()
  await page.getByRole('dialog', { name: evil }).getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('button', { name: `Delete ${evil}` }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No rate limit yet').waitFor()
  await page.getByRole('link', { name: 'Policies' }).click()
  await page.getByRole('tab', { name: 'Passwords' }).click()
  await page.getByRole('link', { name: evil }).click()
  await page.getByRole('heading', { name: evil, level: 1 }).waitFor()
  await page.getByRole('textbox', { name: 'Text of the password policy' }).getByText(evil).waitFor()
  await page.getByRole('button', { name: 'Generate a sample' }).click()
  await page.locator('code').filter({ hasText: /^[<>&"'abc]{8}$/ }).waitFor()
  await page.getByRole('link', { name: 'Entities and groups' }).click()
  await page.getByRole('link', { name: 'has-a-strange-alias' }).click()
  await page.getByRole('cell', { name: evil, exact: true }).waitFor()
  await page.getByRole('cell', { name: `${evil}=${evil}` }).waitFor()
  await page.getByRole('link', { name: 'Policies' }).click()
  await page.getByRole('link', { name: evil }).click()
  await page.getByRole('heading', { name: evil, level: 1 }).waitFor()
  await text(page).getByText('</script>').waitFor()
  await page.getByRole('link', { name: 'Entities and groups' }).click()
  await page.getByRole('link', { name: evil }).click()
  await page.getByRole('heading', { name: evil, level: 1 }).waitFor()
  equal(await page.getByLabel('Metadata').inputValue(), `${evil}=${evil}`, 'the metadata')
  await page.getByRole('link', { name: 'Auth methods' }).click()
  await page.getByRole('cell', { name: evil }).waitFor()
  await page.getByRole('link', { name: 'token/' }).click()
  await page.getByRole('link', { name: '"><svg' }).click()
  await page.getByRole('heading', { name: '"><svg', level: 1 }).waitFor()
  equal(await page.evaluate(() => window.owned), undefined, 'a script of a name ran')
}

/** All of these pages in a narrow window. */
export async function smallAccess() {
  for (const [name, path] of [['policies', '/policies'], ['methods', '/auth'], ['role', '/auth/kubernetes/edit/shop'], ['entities', '/identity'], ['tokens', '/tokens'], ['password-policy', '/policies/passwords/create'], ['jwt-role', '/auth/jwt/create'], ['transit', '/secrets/transit%2F/show/orders']]) {
    const page = await enter(keys.root, path, { width: 360, height: 720 })
    await page.getByRole('heading', { level: 1 }).waitFor()
    await both(page, `small-${name}`)
    await page.context().close()
  }
}
