// Who may do what: policies, auth methods, tokens, entities.
import { api, both, check, enter, equal, keys, retype, until, vault } from './lib.mjs'

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
  await page.getByRole('button', { name: 'Revoke all of these…' }).click()
  await page.getByLabel(/^Type .* to go on$/).fill('ada')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke all' }).click()
  await page.getByText('Nothing is lent here').waitFor()
  await denied(api('GET', 'auth/token/lookup-self', undefined, ada.client_token))
}

/** An entity is put into a group, and its token has the group's policies; two entities become one. */
export async function identity() {
  await api('POST', 'sys/policies/acl/lift', { policy: 'path "secret/data/lift" { capabilities = ["read"] }' })
  await vault('kv', 'put', 'secret/lift', 'a=b')
  const ada = (await api('POST', 'auth/userpass/login/ada', { password: 'correct horse' }, '')).auth
  await denied(api('GET', 'secret/data/lift', undefined, ada.client_token))
  const other = (await api('POST', 'identity/entity', { name: 'ada-elsewhere' })).data.id
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
}

/** A key encrypts, is rotated, and decrypts what it encrypted before. */
export async function transit() {
  await api('POST', 'sys/mounts/transit', { type: 'transit' })
  const page = await enter(keys.root, '/secrets/transit%2F/list/')
  await page.getByRole('button', { name: 'Create key' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('orders')
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
  await page.getByRole('link', { name: 'orders' }).click()
  await page.getByLabel('Text').fill('größer als ASCII ✓')
  await page.getByRole('button', { name: 'Encrypt' }).last().click()
  const ciphertext = await page.locator('code').filter({ hasText: /^vault:v1:/ }).innerText()
  await both(page, 'transit')
  await page.getByRole('button', { name: 'Rotate…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Rotate' }).click()
  await page.getByText('version 2').waitFor()
  await page.getByRole('button', { name: 'Decrypt' }).first().click()
  await page.getByLabel('Ciphertext').fill(ciphertext)
  await page.getByRole('button', { name: 'Decrypt' }).last().click()
  await page.getByRole('button', { name: 'Reveal the plaintext' }).click()
  await page.getByText('größer als ASCII ✓').waitFor()
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
  const page = await enter(keys.root, '/policies')
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
  for (const [name, path] of [['policies', '/policies'], ['methods', '/auth'], ['role', '/auth/kubernetes/edit/shop'], ['entities', '/identity'], ['tokens', '/tokens'], ['transit', '/secrets/transit%2F/show/orders']]) {
    const page = await enter(keys.root, path, { width: 360, height: 720 })
    await page.getByRole('heading', { level: 1 }).waitFor()
    await both(page, `small-${name}`)
    await page.context().close()
  }
}
