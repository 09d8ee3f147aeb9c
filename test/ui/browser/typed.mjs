// Nothing that was typed is lost: by a look at another tab, a token that ends, a sealed node or a save that failed.
import { api, check, enter, equal, keys, nodes, signIn, until } from './lib.mjs'
import { unseal } from './start.mjs'

/** Types into fields of tabs, goes through all tabs, and finds everything as it was. */
async function across(page, fields) {
  const field = ([, label]) => page.getByRole('tabpanel').getByLabel(label, { exact: true })
  const tab = (name) => page.getByRole('tab', { name, exact: true }).click()
  for (const f of fields) {
    await tab(f[0])
    if (f[3]) await f[3]()
    if (typeof f[2] === 'boolean') await field(f).setChecked(f[2])
    else await field(f).fill(f[2])
  }
  for (const name of await page.getByRole('tab').allInnerTexts()) await tab(name)
  for (const f of fields) {
    await tab(f[0])
    if (typeof f[2] === 'boolean') equal(await field(f).isChecked(), f[2], `${f[1]} in ${f[0]}`)
    else equal(await field(f).inputValue(), f[2], `${f[1]} in ${f[0]}`)
  }
}

export async function tabs() {
  await across(await enter(keys.root, '/audit'), [['Log', 'Path begins with', 'secret/x'], ['Log', 'Errors only', true], ['Log', 'Holds', 'abc'], ['Hash of a value', 'Value', 'a value']])
  const page = await enter(keys.root, '/cluster')
  await across(page, [['Seal', 'Shares', '9', () => page.getByText('Start', { exact: true }).first().click()], ['Seal', 'Needed', '6']])
  await across(await enter(keys.root, '/tokens'), [['Look up', 'Accessor', 'acc'], ['Leases', 'Lease ID', 'auth/x'], ['Create a token', 'Policies', 'one\ntwo'], ['Create a token', 'Lives', '7m']])
  await across(await enter(keys.root, '/policies'), [['Policies', /^Filter \d+ policies$/, 'def'], ['Test a token', 'Paths', 'secret/a']])
  await across(await enter(keys.root, '/identity'), [['Entities', /^Filter \d+ entities$/, 'ab'], ['Groups', /^Filter \d+ groups$/, 'cd']])
  await api('POST', 'sys/auth/typed', { type: 'jwt' })
  await across(await enter(keys.root, '/auth/typed'), [['Configuration', 'Bound issuer', 'https://issuer'], ['Test a login', 'Token', 'e.y.J']])
  await api('POST', 'secret/data/typed', { data: { a: 'b' } })
  const secret = await enter(keys.root, '/secrets/secret%2F/show/typed')
  await across(secret, [['Metadata', 'Metadata key 1', 'owner', () => secret.getByRole('tabpanel').getByRole('button', { name: 'Edit' }).first().click()]])

  // What is not shown asks nothing meanwhile.
  const watched = await enter(keys.root, '/cluster')
  await watched.getByRole('region', { name: 'Nodes' }).waitFor()
  await watched.getByRole('tab', { name: 'Version' }).click()
  await watched.getByText('Versions that have served').waitFor()
  let asked = 0
  watched.on('request', (r) => { if (r.url().includes('raft/')) asked++ })
  await watched.waitForResponse((r) => r.url().includes('sys/seal-status')) // these come every 5 s, as the members did
  await watched.waitForResponse((r) => r.url().includes('sys/seal-status'))
  equal(asked, 0, 'questions of the tab that is not shown')
}

/** A save that fails, leaving the page, and a token that ends: the form of an entity stays as it was typed. */
export async function forms() {
  const { id } = (await api('POST', 'identity/entity', { name: 'typed-entity' })).data
  const { auth } = await api('POST', 'auth/token/create', { policies: ['root'], ttl: '1h' })
  const page = await enter(auth.client_token, `/identity/entity/${id}`)
  await page.getByLabel('Metadata').fill('no key and value')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await page.getByRole('alert').filter({ hasText: 'no key=value' }).waitFor()
  await page.getByLabel('Metadata').fill('team=storage')
  await page.getByRole('link', { name: 'Policies' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Cancel' }).click()
  equal(await page.getByLabel('Metadata').inputValue(), 'team=storage', 'after a look at leaving')

  // Its token ends. Someone signs in who may not see the entity, then someone who may.
  await api('POST', 'auth/token/revoke', { token: auth.client_token })
  const other = (await api('POST', 'auth/token/create', { policies: ['default'], ttl: '1h' })).auth
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
  await signIn(page, other.client_token)
  await page.getByRole('alert').filter({ hasText: 'may not' }).first().waitFor()
  await until('who may not see it does not', async () => !await page.getByLabel('Metadata').isVisible())
  await api('POST', 'auth/token/revoke', { token: other.client_token })
  await page.getByRole('button', { name: 'Try again' }).first().click()
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
  await signIn(page, keys.root)
  await until('it is back', () => page.getByLabel('Metadata').isVisible())
  equal(await page.getByLabel('Metadata').inputValue(), 'team=storage', 'after two others signed in')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await until('it is saved', async () => (await api('GET', `identity/entity/id/${id}`)).data.metadata?.team === 'storage')
}

/** A node is sealed under a dialog of a page that asks every few seconds. */
export async function sealedNode() {
  const leader = (await api('GET', 'sys/leader')).leader_address
  const standby = nodes.findLast((n) => n !== leader)
  const page = await enter(keys.root, '/cluster', { node: standby })
  await page.getByRole('button', { name: 'Autopilot…' }).click()
  const field = page.getByRole('dialog').getByLabel('Server stabilization time')
  await field.fill('12s')
  const failed = page.waitForResponse((r) => r.url().includes('raft/') && r.status() === 503)
  await api('PUT', 'sys/seal', {}, keys.root, standby)
  await failed
  await unseal(page)
  await field.waitFor()
  equal(await field.inputValue(), '12s', 'what was typed')
  check(await page.getByRole('dialog').isVisible(), 'the dialog is gone')
}
