import { api, both, check, enter, equal, keys, open, retype, until, vault } from './lib.mjs'

export async function enable() {
  const page = await enter(keys.root)
  await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor()
  await page.getByRole('link', { name: 'Enable engine' }).click()
  await page.getByLabel('Path').fill('secret')
  await page.getByLabel('Description').fill('what the tests keep')
  await both(page, 'enable-engine')
  await page.getByRole('button', { name: 'Enable', exact: true }).click()
  await page.getByText('No secrets here yet').waitFor()
  await both(page, 'empty-engine')
  const { data } = await api('GET', 'sys/mounts/secret')
  equal([data.type, data.options.version, data.description], ['kv', '2', 'what the tests keep'], 'the mount')
}

/** Writes a secret as the guide's reader does, and again; the command line sees both, and the page what the command line writes. */
export async function rotate() {
  const page = await enter(keys.root)
  await page.getByRole('link', { name: 'secret/' }).click()
  await page.getByRole('link', { name: 'Create secret' }).click()
  await page.getByLabel('Path').fill('storage/longhorn-r2')
  await page.getByLabel('Key 1').fill('AWS_ACCESS_KEY_ID')
  await page.getByLabel('Value 1').fill('AKIA1')
  await page.getByRole('button', { name: 'Add a key' }).click()
  await page.getByLabel('Key 2').fill('AWS_SECRET_ACCESS_KEY')
  await page.getByLabel('Value 2').fill('first\nsecond line')
  await both(page, 'create-secret')
  await save(page)
  await page.getByRole('heading', { name: 'longhorn-r2', level: 1 }).waitFor()
  equal(await value(page, 'AWS_SECRET_ACCESS_KEY'), '••••••••••••', 'a value not asked for')
  await page.getByRole('button', { name: 'Reveal AWS_SECRET_ACCESS_KEY' }).click()
  equal(await value(page, 'AWS_SECRET_ACCESS_KEY'), 'first\nsecond line', 'the value')
  await both(page, 'secret')
  equal(await vault('kv', 'get', '-field=AWS_ACCESS_KEY_ID', 'secret/storage/longhorn-r2'), 'AKIA1', 'for the command line')
  await page.getByRole('link', { name: 'New version' }).click()
  await page.getByLabel('Value 1').fill('AKIA2')
  await page.getByRole('button', { name: 'Review and save' }).click()
  const dialog = page.getByRole('dialog')
  check(!(await dialog.innerText()).includes('AKIA'), 'the review shows values unasked')
  await dialog.getByText('Show values').click()
  check(/AKIA1\s+AKIA2/.test(await dialog.getByRole('row').nth(1).innerText()), 'the review does not show the change')
  await both(page, 'review')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Version 2').waitFor()
  equal(await vault('kv', 'get', '-field=AWS_ACCESS_KEY_ID', 'secret/storage/longhorn-r2'), 'AKIA2', 'rotated, for the command line')
  await vault('kv', 'patch', 'secret/storage/longhorn-r2', 'AWS_ACCESS_KEY_ID=AKIA3')
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })))
  await page.getByText('Version 3').waitFor()
  await page.getByRole('link', { name: 'storage' }).click()
  await page.getByRole('link', { name: 'longhorn-r2' }).waitFor()
  await both(page, 'folder')
}

const value = (page, key) => page.locator('.pairs > div').filter({ has: page.getByText(key, { exact: true }) }).locator('dd').first().innerText()

export async function save(page) {
  await page.getByRole('button', { name: 'Review and save' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
}

export async function versions() {
  const page = await enter(keys.root, '/secrets/secret%2F/show/storage/longhorn-r2')
  await page.getByRole('tab', { name: 'Versions' }).click()
  await page.getByRole('button', { name: 'Compare versions' }).click()
  await page.getByLabel('Left').selectOption('1')
  await page.getByText('Show values').click()
  await page.getByRole('cell', { name: 'AKIA3' }).waitFor()
  await both(page, 'versions')
  const menu = async (version, item) => {
    await page.getByRole('button', { name: `Version ${version}`, exact: true }).click()
    await page.getByRole('menuitem', { name: item }).click()
  }
  await menu(1, 'Make it current again')
  await page.getByRole('button', { name: 'Roll back' }).click()
  await page.getByRole('cell', { name: '4 current' }).waitFor()
  equal(await vault('kv', 'get', '-field=AWS_ACCESS_KEY_ID', 'secret/storage/longhorn-r2'), 'AKIA1', 'after the roll-back')
  await menu(2, 'Delete')
  await page.getByRole('cell', { name: '2 deleted' }).waitFor()
  await menu(2, 'Undelete')
  await until('version 2 is back', async () => await page.getByRole('cell', { name: '2 deleted' }).count() === 0)
  await menu(3, 'Destroy for good')
  await both(page, 'confirm')
  await page.getByRole('button', { name: 'Destroy', exact: true }).click()
  await page.getByRole('cell', { name: '3 destroyed' }).waitFor()
  const { data } = await api('GET', 'secret/metadata/storage/longhorn-r2')
  equal([data.current_version, data.versions[2].deletion_time, data.versions[3].destroyed], [4, '', true], 'the versions')
}

export async function metadata() {
  const page = await enter(keys.root, '/secrets/secret%2F/show/storage/longhorn-r2')
  await page.getByRole('tab', { name: 'Metadata' }).click()
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByLabel('Metadata key 1').fill('owner')
  await page.getByLabel('Metadata value 1').fill('team-storage')
  await page.getByLabel('Versions kept').fill('7')
  await both(page, 'metadata-form')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('team-storage').waitFor()
  await both(page, 'metadata')
  const { data } = await api('GET', 'secret/metadata/storage/longhorn-r2')
  equal([data.custom_metadata, data.max_versions], [{ owner: 'team-storage' }, 7], 'the metadata')
}

export async function json() {
  const page = await enter(keys.root, '/secrets/secret%2F/create/')
  await page.getByLabel('Path').fill('nested')
  await page.getByRole('button', { name: 'JSON' }).click()
  const editor = page.getByLabel('Secret as JSON')
  await retype(editor, '{"a": ')
  await page.getByText('This is not JSON yet').waitFor()
  check(await page.getByRole('button', { name: 'Review and save' }).isDisabled(), 'half a JSON text can be saved')
  await retype(editor, '{"a": {"b": [1, true]}, "c": "text"}')
  await both(page, 'json')
  await page.getByRole('button', { name: 'Keys', exact: true }).click()
  await page.getByText('edited as JSON only').waitFor()
  await save(page)
  await page.getByRole('heading', { name: 'nested', level: 1 }).waitFor()
  equal((await api('GET', 'secret/data/nested')).data.data, { a: { b: [1, true] }, c: 'text' }, 'what was saved')
}

/** The link shows the secret once, to a browser that has no session. */
export async function share() {
  const page = await enter(keys.root, '/secrets/secret%2F/show/storage/longhorn-r2')
  await page.getByRole('button', { name: 'More about this secret' }).click()
  await page.getByRole('menuitem', { name: 'Share once' }).click()
  await page.getByRole('button', { name: 'Make the link' }).click()
  const link = await page.getByLabel('Link', { exact: true }).innerText()
  await both(page, 'share')
  const other = await open(link)
  await other.getByRole('button', { name: 'Open it' }).waitFor()
  check(!other.url().includes('#'), 'the token stays in the address')
  await other.getByRole('button', { name: 'Open it' }).click()
  await other.getByRole('button', { name: 'Reveal AWS_ACCESS_KEY_ID' }).click()
  await other.getByText('AKIA1').waitFor()
  await both(other, 'unwrap')
  const late = await open(link)
  await late.getByRole('button', { name: 'Open it' }).click()
  await late.getByText('This link does not work any more').waitFor()
}

export async function manifest() {
  const page = await enter(keys.root, '/secrets/secret%2F/show/storage/longhorn-r2')
  await page.getByRole('tab', { name: 'Use it' }).click()
  await page.getByLabel('Role', { exact: true }).fill('longhorn-role')
  await page.getByLabel('Namespace', { exact: true }).fill('longhorn-system')
  const text = await page.getByLabel('VaultSecret manifest').innerText()
  for (const want of ['kind: VaultSecret', 'namespace: longhorn-system', "role: 'longhorn-role'", "AWS_ACCESS_KEY_ID: '{{ .AWS_ACCESS_KEY_ID }}'", "path: 'secret/storage/longhorn-r2'", "version: '2'"]) {
    check(text.includes(want), `the manifest lacks ${want}:\n${text}`)
  }
  check(!text.includes('AKIA'), 'the manifest holds a value')
  await both(page, 'use-it')
  const command = (await page.getByLabel('Command line', { exact: true }).innerText()).split(' ').slice(1)
  check((await vault(...command)).includes('AKIA1'), 'the command does not show the secret')
}

