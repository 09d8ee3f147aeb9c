// What operators do: the audit log, the cluster, its seal and snapshots.
import { readFileSync } from 'node:fs'
import { decrypt } from './founding.mjs'
import { api, both, check, enter, equal, keys, nodes, open, setting, until, vault } from './lib.mjs'

/** The audit log shows who asked for what, never a value, and finds the hash of one. */
export async function audit() {
  const value = 'a-value-that-is-audited-4711'
  await vault('kv', 'put', 'secret/audited', `password=${value}`)
  const refused = (await api('POST', 'auth/token/create', { policies: ['default'], ttl: '1h', display_name: 'prying' })).auth
  await api('GET', 'secret/data/audited', undefined, refused.client_token).catch(() => {})
  const page = await enter(keys.root, '/audit')
  await page.getByLabel('Path begins with').fill('secret/data/audited')
  await page.getByRole('button', { name: 'Search' }).click()
  const rows = page.getByRole('region', { name: 'Audit records' }).locator('tbody tr')
  await rows.filter({ hasText: 'denied' }).filter({ hasText: 'token-prying' }).waitFor()
  await both(page, 'audit')
  await page.getByText('Errors only').click()
  await until('only errors are left', async () => await rows.count() > 0 && await rows.filter({ hasText: 'done' }).count() === 0)
  await page.getByText('Errors only').click()
  await page.getByLabel('Operation').selectOption('create')
  await until('only what was written is left', async () => await rows.count() === 1)
  await rows.getByRole('button').click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('What was asked').waitFor()
  check(/"password": "hmac-sha256:/.test(await dialog.innerText()), 'the value is not a hash')
  check(!(await page.content()).includes(value), 'the page holds the value')
  await both(page, 'audit-record')
  await dialog.getByRole('button', { name: 'Both records of this request' }).click()
  await page.getByLabel('Operation').selectOption('')
  await until('request and answer are there', async () => await rows.count() === 2)

  await page.getByRole('tab', { name: 'Hash of a value' }).click()
  await page.getByLabel('Value', { exact: true }).fill(value)
  await page.getByRole('button', { name: 'Compute the hash' }).click()
  await page.getByText(/^hmac-sha256:[0-9a-f]{64}$/).waitFor()
  await both(page, 'audit-hash')
  await page.getByRole('button', { name: 'Look for it in the log' }).click()
  await rows.filter({ hasText: 'secret/data/audited' }).first().waitFor()
  equal([...new Set((await rows.getByRole('button').allInnerTexts()))].sort(), ['secret/data/audited', 'sys/audit-hash/main'], 'where the value was used')

  await page.getByLabel('Holds').fill('')
  await page.getByLabel('Live').check()
  await api('GET', 'secret/data/seen-live').catch(() => {})
  await rows.filter({ hasText: 'secret/data/seen-live' }).first().waitFor()

  await page.getByRole('tab', { name: 'Devices' }).click()
  await page.getByRole('button', { name: 'Enable device' }).click()
  await page.getByText('takes audit devices from its configuration only').waitFor()
  await both(page, 'audit-devices')
}

/** The members, one of them sealed; leadership goes to another and the page follows. */
export async function cluster() {
  const leader = (await api('GET', 'sys/leader')).leader_address
  const standby = nodes.findLast((n) => n !== leader)
  const page = await enter(keys.root, '/cluster', { node: leader })
  const rows = page.getByRole('region', { name: 'Nodes' }).locator('tbody tr')
  await until('all members are there', async () => await rows.count() === 3)
  await until('one of them leads', async () => await rows.filter({ hasText: 'leader' }).count() === 1)
  await page.getByText('All members are healthy').waitFor()
  await both(page, 'cluster')
  await api('PUT', 'sys/seal', {}, keys.root, standby)
  await rows.filter({ hasText: 'sealed' }).waitFor({ timeout: 30_000 })
  await both(page, 'cluster-sealed')
  const { t } = await (await fetch(`${standby}/v1/sys/seal-status`)).json()
  for (const key of keys.shares.slice(0, t)) await api('PUT', 'sys/unseal', { key }, '', standby)
  await until('it serves again', async () => await rows.filter({ hasText: 'standby' }).count() === 2, 60_000)
  await api('POST', 'auth/token/create', { policies: ['default'], ttl: '1h' }) // a lease to count
  await page.getByRole('button', { name: 'Step down…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Step down' }).click()
  await until('another leads', async () => { const now = await api('GET', 'sys/leader').catch(() => ({})); return now.leader_address && now.leader_address !== leader }, 30_000)
  await page.getByRole('alertdialog').waitFor({ state: 'hidden' })
  await page.getByRole('tab', { name: 'Metrics' }).click()
  await page.getByText('Requests by mount').first().waitFor()
  const now = await enter(keys.root, '/cluster', { node: (await api('GET', 'sys/leader')).leader_address }) // who leads counts leases
  await now.getByRole('tab', { name: 'Metrics' }).click()
  await now.getByRole('region', { name: 'Leases by mount' }).locator('tbody tr').filter({ hasText: 'auth/token/' }).waitFor()
  await both(now, 'metrics')
  await page.getByRole('tab', { name: 'Version' }).click()
  await page.getByText('Versions that have served').waitFor()
  await both(page, 'version')
}

/** A snapshot is downloaded, something is written, and the snapshot restored: it is gone. */
export async function snapshots() {
  const page = await enter(keys.root, '/cluster')
  await page.getByRole('tab', { name: 'Snapshots' }).click()
  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Take a snapshot' }).click()
  const file = await (await download).path()
  check(readFileSync(file).length > 1000, 'the snapshot is empty')
  await page.getByRole('button', { name: 'Add a schedule' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name', { exact: true }).fill('daily')
  await dialog.getByLabel('Path prefix').fill('/nowhere/that/exists')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('button', { name: 'Delete daily' }).waitFor()
  equal((await api('GET', 'sys/storage/raft/snapshot-auto/config/daily')).data.interval, 86400, 'the schedule')
  await both(page, 'snapshots')
  await page.getByRole('button', { name: 'Delete daily' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No snapshots by themselves').waitFor()
  await vault('kv', 'put', 'secret/after-the-snapshot', 'a=b')
  await page.getByLabel('Snapshot file').setInputFiles(file)
  await page.getByRole('button', { name: 'Restore…' }).click()
  await page.getByLabel('Type restore to go on').fill('restore')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Restore' }).click()
  await page.getByText('Restored.').waitFor()
  await until('what was written since is gone', () => api('GET', 'secret/data/after-the-snapshot').then(() => false, (e) => e.message.includes('404')))
}

/** New unseal keys, a root token by shares, a new encryption key. */
export async function seal(note) {
  const { t } = await (await fetch(`${nodes[0]}/v1/sys/seal-status`)).json()
  const page = await enter(keys.root, '/cluster')
  await page.getByRole('tab', { name: 'Seal' }).click()
  await page.getByRole('button', { name: 'Rotate…' }).click()
  const { term } = (await api('GET', 'sys/key-status')).data
  await page.getByRole('alertdialog').getByRole('button', { name: 'Rotate' }).click()
  await until('the encryption key is new', async () => (await api('GET', 'sys/key-status')).data.term === term + 1)
  const share = async (title, value) => {
    const form = page.getByRole('form', { name: `Share for ${title}` })
    await form.getByRole('textbox', { name: 'Key share' }).fill(value)
    await form.getByRole('button', { name: 'Enter share' }).click()
  }
  const card = (title) => page.locator('section').filter({ has: page.getByRole('heading', { name: title }) })

  const root = card('A new root token')
  await root.getByText('Start', { exact: true }).first().click()
  await root.getByRole('button', { name: 'Start' }).click()
  for (const [i, key] of keys.shares.slice(0, t).entries()) {
    await root.getByText(`${i} of ${t}`).waitFor()
    await share('A new root token', key)
  }
  const made = page.getByRole('dialog', { name: 'A root token' })
  await made.getByRole('button', { name: 'Show Root token' }).click()
  const token = await made.locator('code').innerText()
  equal((await api('GET', 'auth/token/lookup-self', undefined, token)).data.policies, ['root'], 'the token')
  await api('POST', 'auth/token/revoke-self', {}, token)
  await made.getByRole('button', { name: 'All are kept' }).click()

  // Someone else begins new keys, and is seen doing so; here it is cancelled.
  const rekey = card('New unseal keys')
  const other = await api('PUT', 'sys/rekey/init', { secret_shares: 7, secret_threshold: 4 })
  await rekey.getByText('7 shares, 4 of them needed').waitFor()
  await rekey.getByText(other.nonce).waitFor()
  await api('PUT', 'sys/rekey/update', { key: keys.shares[0], nonce: other.nonce })
  await rekey.getByText(`1 of ${t}`).waitFor()
  await rekey.getByRole('button', { name: 'Cancel it…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Cancel it' }).click()
  await until('it is cancelled', async () => !(await api('GET', 'sys/rekey/init')).started)

  // New keys for owners, who prove that they have them before they count.
  const { n } = await (await fetch(`${nodes[0]}/v1/sys/seal-status`)).json()
  await rekey.getByText('Start', { exact: true }).first().click()
  await rekey.getByText('Encrypt each share').click()
  for (let i = 1; i <= n; i++) await rekey.getByLabel(`Public key of owner ${i}`).fill(setting.owners.keys[i - 1])
  await both(page, 'rekey-pgp')
  await rekey.getByRole('button', { name: 'Start' }).click()
  for (const [i, key] of keys.shares.slice(0, t).entries()) {
    await rekey.getByText(`${i} of ${t}`).waitFor()
    if (i === 1) await both(page, 'rekey')
    await share('New unseal keys', key)
  }
  const dialog = page.getByRole('dialog', { name: 'Keep these now' })
  await dialog.getByText('Until they are proven').waitFor()
  await both(page, 'rekey-done')
  const fresh = []
  for (let i = 1; i <= n; i++) {
    await dialog.getByRole('button', { name: `Copy Unseal key share ${i}` }).click()
    fresh.push(await decrypt(i - 1, await page.evaluate(() => navigator.clipboard.readText())))
  }
  equal(new Set([...fresh, ...keys.shares]).size, n + keys.shares.length, 'shares that differ')
  await dialog.getByRole('button', { name: 'All are kept' }).click()
  await rekey.getByText('until the new shares are proven, the old ones count').waitFor()
  check((await api('GET', 'sys/rekey/init')).started, 'the new keys count before they are proven')
  const prove = async (value) => {
    await rekey.getByLabel('New key share', { exact: true }).fill(value)
    await rekey.getByRole('button', { name: 'Enter share' }).click()
  }
  await prove(fresh[0])
  await rekey.getByText(`1 of ${t}`).waitFor()
  await both(page, 'rekey-proof')
  await rekey.getByRole('button', { name: 'Begin the proof again…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Begin again' }).click()
  for (const [i, key] of fresh.slice(0, t).entries()) {
    await rekey.getByText(`${i} of ${t}`).waitFor()
    await prove(key)
  }
  await page.getByText('The new keys hold from now on').waitFor()
  check(!(await api('GET', 'sys/rekey/init')).started, 'it is not over')
  keys.shares.splice(0, keys.shares.length, ...fresh)
  note(`${fresh.length} new shares, proven`)
}

/** A rate limit holds, and so does a limit of leases; both are changed and deleted. */
export async function quotas() {
  await api('POST', 'sys/mounts/limited', { type: 'kv', options: { version: '1' } })
  await api('POST', 'limited/a', { k: 'v' })
  const page = await enter(keys.root, '/quotas')
  await page.getByText('No rate limit yet').waitFor()
  await page.getByRole('button', { name: 'Add a rate limit' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name', { exact: true }).fill('few')
  await dialog.getByLabel('Path', { exact: true }).fill('limited/')
  await dialog.getByLabel('Rate', { exact: true }).fill('none')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.getByRole('alert').filter({ hasText: 'rate must be a number' }).waitFor()
  await both(page, 'quota-form')
  await dialog.getByLabel('Rate', { exact: true }).fill('2')
  await dialog.getByLabel('Interval', { exact: true }).fill('10m')
  await dialog.getByLabel('Counted together').selectOption('everyone together')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await page.getByText('2 in 10 min').waitFor()
  await both(page, 'quotas')
  const refused = () => api('GET', 'limited/a').then(() => false, (e) => e.message.includes(' 429 '))
  await until('it holds', refused)
  await page.getByRole('button', { name: 'few' }).first().click()
  await dialog.getByLabel('Rate', { exact: true }).fill('100000')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await page.getByText('100000 in 10 min').waitFor()
  await until('it is wider', async () => !await refused())
  await page.getByRole('button', { name: 'Delete few' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No rate limit yet').waitFor()

  await api('POST', 'sys/auth/counted', { type: 'userpass' })
  await api('POST', 'auth/counted/users/u', { password: 'p' })
  await page.getByRole('tab', { name: 'Lease limits' }).click()
  await page.getByRole('button', { name: 'Add a lease limit' }).click()
  await dialog.getByLabel('Name', { exact: true }).fill('one-login')
  await dialog.getByLabel('Path', { exact: true }).fill('auth/counted/')
  await dialog.getByLabel('Max leases').fill('1')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await page.getByText('0 of 1').waitFor()
  const login = () => api('POST', 'auth/counted/login/u', { password: 'p' }, '')
  await login()
  check(await login().then(() => false, () => true), 'a second login is let in')
  await page.getByRole('tab', { name: 'Settings' }).click()
  await page.getByRole('tabpanel').getByLabel('Rate limit exempt paths').fill('sys/internal/*')
  await page.getByRole('button', { name: 'Save' }).click()
  await until('the settings hold', async () => (await api('GET', 'sys/quotas/config')).data.rate_limit_exempt_paths.includes('sys/internal/*'))
  await both(page, 'quotas-settings')
  await page.getByRole('tab', { name: 'Lease limits' }).click()
  await page.getByRole('button', { name: 'Delete one-login' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No lease limit yet').waitFor()
  await api('POST', 'sys/quotas/config', { rate_limit_exempt_paths: [] })
}

/** A header of requests comes into the records, as a hash and as it is. */
export async function headers() {
  const page = await enter(keys.root, '/audit')
  await page.getByRole('tab', { name: 'Headers' }).click()
  for (const [name, hashed] of [['X-Hashed', true], ['X-Plain', false]]) {
    await page.getByRole('button', { name: 'Record a header' }).click()
    await page.getByRole('dialog').getByRole('textbox', { name: 'Header' }).fill(name)
    if (!hashed) await page.getByText('Record a keyed hash').click()
    await page.getByRole('dialog').getByRole('button', { name: 'Record it' }).click()
    await page.getByRole('button', { name: new RegExp(`Stop recording ${name}`, 'i') }).waitFor()
  }
  await both(page, 'audit-headers')
  await fetch(`${nodes[0]}/v1/secret/data/with-headers`, { headers: { 'X-Vault-Token': keys.root, 'X-Hashed': 'one', 'X-Plain': 'two' } })
  await until('they are recorded', async () => {
    const { records } = (await api('GET', 'sys/internal/audit/search?path_prefix=secret/data/with-headers&type=request')).data
    const seen = records[0]?.request.headers
    return seen && /^hmac-sha256:/.test(seen['x-hashed']?.[0]) && seen['x-plain']?.[0] === 'two'
  })
  await page.getByRole('button', { name: /Stop recording x-plain/i }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Stop' }).click()
  await until('it is no longer recorded', async () => !Object.keys((await api('GET', 'sys/config/auditing/request-headers')).data.headers).some((h) => /plain/i.test(h)))
}

/** Pages of another origin are let in, and no longer; a header is sent with the UI's pages. */
export async function browsers() {
  const page = await enter(keys.root, '/cluster')
  await page.getByRole('tab', { name: 'Browsers' }).click()
  await page.getByLabel('Origins whose pages may use the API').fill('https://console.example.com')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('may use the API').first().waitFor()
  const asked = () => fetch(`${nodes[0]}/v1/sys/health`, { headers: { Origin: 'https://console.example.com' } })
  await until('they are let in', async () => (await asked()).headers.get('access-control-allow-origin') === 'https://console.example.com')
  await page.getByRole('button', { name: 'Add a header' }).click()
  await page.getByRole('dialog').getByRole('textbox', { name: 'Header' }).fill('X-Of-Ours')
  await page.getByRole('dialog').getByLabel('Values').fill('yes')
  await both(page, 'ui-header')
  await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click()
  await page.getByRole('button', { name: 'Remove X-Of-Ours' }).waitFor()
  equal((await fetch(nodes[0] + '/ui/')).headers.get('x-of-ours'), 'yes', 'the header')
  await both(page, 'browsers')
  await page.getByRole('button', { name: 'Remove X-Of-Ours' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click()
  await page.getByText('Only the usual headers').waitFor()
  await page.getByRole('button', { name: 'Allow none…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Allow none' }).click()
  await until('they are not', async () => !(await asked()).headers.get('access-control-allow-origin'))
}

/** Everything that was made elsewhere is listed with its licence: by what the linker and the lock file say, not by a list of ours. */
export async function licences(note) {
  const parts = await (await fetch(`${nodes[0]}/ui/licences.json`)).json()
  equal(parts.filter((p) => !p.licence).map((p) => p.name), [], 'parts without a licence')
  const server = Object.fromEntries(parts.filter((p) => !p.page).map((p) => [p.name, p.version]))
  equal(server, setting.modules, 'modules of the server')
  const here = (name) => JSON.parse(readFileSync(new URL(`../../../ui/${name}`, import.meta.url), 'utf8'))
  const locked = here('package-lock.json').packages
  const page = new Map(parts.filter((p) => p.page).map((p) => [p.name, p]))
  equal(Object.keys(here('package.json').dependencies).filter((name) => !page.has(name)), [], 'dependencies that are not listed')
  for (const { name, version, licence } of page.values()) {
    const is = Object.entries(locked).filter(([at]) => at.endsWith('node_modules/' + name)).map(([, p]) => `${p.version} ${p.license}`)
    check(is.includes(`${version} ${licence}`), `${name} is listed as ${version} ${licence}, and locked as ${is}`)
  }
  const shown = await enter(keys.root, '/cluster')
  await shown.getByRole('tab', { name: 'Version' }).click()
  for (const [title, name] of [['Parts of this page', 'react-aria-components'], ['Parts of the server', 'go.etcd.io/bbolt']]) {
    await shown.locator('section').filter({ hasText: title }).locator('summary').click()
    if (title.includes('server') && !server[name]) continue
    await shown.getByRole('region', { name: title }).getByText(name, { exact: true }).waitFor()
  }
  await both(shown, 'licences')
  note(`${page.size} packages, ${Object.keys(server).length} modules`)
}

/** A node is removed: it is a member no more, and its own page says so. The last step, for it cannot be undone. */
export async function removal() {
  const leader = (await api('GET', 'sys/leader')).leader_address
  const gone = nodes.findLast((n) => n !== leader)
  const page = await enter(keys.root, '/cluster', { node: leader })
  const row = page.getByRole('region', { name: 'Nodes' }).locator('tbody tr').filter({ hasText: gone })
  await row.getByRole('button', { name: /^Remove / }).click()
  const ask = page.getByRole('alertdialog')
  const name = /Remove (.*)\?/.exec(await ask.getByRole('heading').innerText())[1]
  check(await ask.getByRole('button', { name: 'Remove' }).isDisabled(), 'it is removed without its name')
  await ask.getByLabel(`Type ${name} to go on`).fill(name)
  await both(page, 'remove-node')
  await ask.getByRole('button', { name: 'Remove' }).click()
  await until('it is no member', async () => (await api('GET', 'sys/storage/raft/configuration', undefined, keys.root, leader)).data.config.servers.every((s) => s.node_id !== name))
  await until('its row is gone', async () => await page.getByRole('region', { name: 'Nodes' }).locator('tbody tr').count() === nodes.length - 1)
  const own = await open(gone + '/ui/')
  await own.getByRole('heading', { name: 'This node was removed' }).waitFor({ timeout: 30_000 })
  await both(own, 'removed')
}

export async function smallOperate() {
  for (const [name, path, tabs] of [['audit', '/audit', ['Devices', 'Headers', 'Hash of a value']], ['cluster', '/cluster', ['Snapshots', 'Seal', 'Metrics', 'Browsers', 'Version']], ['quotas', '/quotas', ['Lease limits', 'Settings']]]) {
    const page = await enter(keys.root, path, { width: 360, height: 720 })
    await page.getByRole('tabpanel').waitFor()
    await page.getByRole('status', { name: 'Loading' }).waitFor({ state: 'detached' })
    await both(page, `small-${name}`)
    for (const tab of tabs) {
      await page.getByRole('tab', { name: tab }).click()
      await page.getByRole('tabpanel').waitFor()
      await both(page, `small-${name}-${tab.toLowerCase().replaceAll(' ', '-')}`)
    }
    await page.context().close()
  }
}
