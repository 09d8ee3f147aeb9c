// Users of a database, made, kept and given back on its pages.
import { api, both, check, enter, equal, keys, setting, until } from './lib.mjs'

const at = '/secrets/database%2F/'

async function fill(page, fields) {
  for (const [label, text] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(text)
}

/** A connection and a role are made, a user is lent and given back, a password is rotated. */
export async function day() {
  await api('POST', 'sys/mounts/database', { type: 'database' })
  const page = await enter(keys.root, at + 'list/')
  await page.getByText('No static roles yet').waitFor()
  await page.getByRole('link', { name: 'Create connection' }).click()
  await fill(page, { Name: 'shop', 'Connection URL': setting.database.url, Username: 'postgres', Password: 'not the password' })
  await page.getByLabel('Allowed roles').fill('reader\nbilling')
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByText('does not take the user name and password').waitFor()
  equal(await page.getByLabel('Username', { exact: true }).inputValue(), 'postgres', 'what was typed')
  await fill(page, { Password: setting.database.password })
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor()
  equal(await page.getByLabel('Password', { exact: true }).inputValue(), '', 'the password that is shown')
  await page.getByRole('button', { name: 'Connect anew' }).click()
  await page.getByText('Connected anew.').waitFor()
  await both(page, 'database-connection')

  await page.getByRole('link', { name: 'database/' }).click()
  await page.getByRole('link', { name: 'Create role', exact: true }).click()
  await fill(page, { Name: 'reader', 'DB name': 'shop' })
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('button', { name: 'Get credentials' }).click()
  const user = await page.locator('code').filter({ hasText: /^v-root-reader-/ }).innerText()
  const lease = await page.locator('code').filter({ hasText: /^database\/creds\/reader\// }).innerText()
  equal((await api('POST', 'sys/leases/lookup', { lease_id: lease })).data.id, lease, 'the lease')
  check((await hidden(page)).length === 20, 'a password of 20 characters')
  await both(page, 'database-credentials')
  check(user.length <= 63, 'a name that PostgreSQL takes')
  await page.getByRole('button', { name: 'Give back' }).click()
  await page.getByText('The user is dropped.').waitFor()
  // What is written again is what is read: several statements stay several.
  const before = (await api('GET', 'database/roles/reader')).data
  await page.getByLabel('Max TTL').fill('48h')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('reader saved.').waitFor()
  const after = (await api('GET', 'database/roles/reader')).data
  equal([after.creation_statements.join(';'), after.max_ttl, after.default_ttl], [before.creation_statements.join(';'), 172800, 3600], 'the role')

  await page.getByRole('link', { name: 'database/' }).click()
  await page.getByRole('link', { name: 'Create static role' }).click()
  await fill(page, { Name: 'billing', 'DB name': 'shop', Username: 'billing' })
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('button', { name: 'Get credentials' }).click()
  const first = await hidden(page)
  await page.getByRole('button', { name: 'Rotate password…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Rotate' }).click()
  await page.getByText('Rotated.').waitFor()
  await until('another password is shown', async () => (await page.getByRole('button', { name: 'Reveal the password' }).count()) === 1)
  const second = await hidden(page)
  check(first !== second && second === (await api('GET', 'database/static-creds/billing')).data.password, 'the password that is kept')
  await both(page, 'database-static')
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByLabel('Type billing to go on').fill('billing')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No static roles yet').waitFor()
  await both(page, 'database')
}

/** The password, which is dots until it is asked for. */
async function hidden(page) {
  await page.getByText('•'.repeat(16)).waitFor()
  await page.getByRole('button', { name: 'Reveal the password' }).click()
  const row = page.locator('dd').filter({ has: page.getByRole('button', { name: 'Hide the password' }) })
  return row.locator('code').innerText()
}

/** Who may only read credentials of a role is offered that, and nothing else. */
export async function narrow() {
  await api('POST', 'sys/policies/acl/borrower', { policy: 'path "database/roles/reader" { capabilities = ["read"] }\npath "database/creds/reader" { capabilities = ["read"] }' })
  const { auth } = await api('POST', 'auth/token/create', { policies: ['borrower'], ttl: '1h' })
  const page = await enter(auth.client_token, at + 'show/roles/reader')
  await page.getByRole('button', { name: 'Get credentials' }).click()
  await page.getByRole('button', { name: 'Reveal the password' }).waitFor()
  await page.getByText('may read this role, not change it').waitFor()
  equal(await page.getByRole('button', { name: /^(Delete|Rotate password…|Connect anew|Give back)$/ }).count(), 0, 'offers what would be refused')
  await page.getByText('CREATE ROLE').waitFor()
  equal(await page.getByRole('button', { name: 'Save' }).count(), 0, 'offers to save')
  await both(page, 'database-narrow')
}
