// How clusters begin otherwise: with shares that only their owners can read, and with a seal that needs nobody.
import { api, both, check, equal, open, setting, signIn, until } from './lib.mjs'

/** Takes what is shown, item by item, as a reader copies it. */
async function keepAll(page) {
  const kept = {}
  for (const row of await page.getByRole('region', { name: 'Keep these now' }).getByRole('listitem').all()) {
    await row.getByRole('button', { name: /^Show / }).click()
    kept[await row.locator('.label').innerText()] = await row.locator('code').innerText()
    await row.getByRole('checkbox').check()
  }
  return kept
}

/** What `owner` finds in a box that was encrypted for them. */
export async function decrypt(owner, box) {
  const answer = await fetch(setting.owners.url, { method: 'POST', body: JSON.stringify({ owner, box }) })
  const text = await answer.text()
  check(answer.ok, `owner ${owner}: ${text}`)
  return text
}

const enterShare = async (page, label, share) => {
  await page.getByLabel(label, { exact: true }).fill(share)
  await page.getByRole('button', { name: 'Enter share' }).click()
}

/** Shares encrypted for three owners, and the root token for the first: they decrypt them, unseal, and sign in. */
export async function encrypted() {
  const page = await open(process.env.PGP_NODE + '/')
  await page.getByLabel('Key shares').fill('3')
  await page.getByLabel('Needed to unseal').fill('2')
  await page.getByText('Encrypt each share').click()
  await page.getByLabel('Public key of owner 1').fill(setting.owners.keys[0])
  await page.getByLabel('Public key of owner 2').fill('no key at all')
  await page.getByLabel('Public key of owner 3').fill(setting.owners.keys[2])
  await page.getByLabel('Public key for the root token').fill(setting.owners.keys[0])
  await page.getByRole('button', { name: 'Create the keys' }).click()
  await page.getByRole('alert').filter({ hasText: 'PGP key 2' }).waitFor()
  await both(page, 'set-up-pgp')
  equal(await page.getByLabel('Public key of owner 3').inputValue(), setting.owners.keys[2].trimEnd(), 'what was typed before it was refused')
  await page.getByLabel('Public key of owner 2').fill(setting.owners.keys[1])
  await page.getByRole('button', { name: 'Create the keys' }).click()
  await page.getByText('The shares are encrypted').waitFor()
  await both(page, 'keep-encrypted')
  const kept = await keepAll(page)
  const shares = await Promise.all([1, 2, 3].map((i) => decrypt(i - 1, kept[`Unseal key share ${i}`])))
  check(shares.every((s) => /^[0-9a-f]{66}$/.test(s)), 'what owners find is no share')
  await page.getByRole('button', { name: 'All are kept: go on' }).click()
  await page.getByRole('heading', { name: 'Unseal this node' }).waitFor()
  await enterShare(page, 'Key share', shares[2])
  await page.getByText('1 of 2 shares entered').waitFor()
  await enterShare(page, 'Key share', shares[0])
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await signIn(page, await decrypt(0, kept['Initial root token']))
  await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor()
}

/** An auto seal: recovery shares, signed in at once; sealed on purpose, the recovery shares open it. */
export async function alone() {
  const node = process.env.AUTO_NODE
  const page = await open(node + '/')
  await page.getByText('unseals by itself with its static seal').waitFor()
  await page.getByLabel('Recovery key shares').fill('3')
  await page.getByLabel('Needed to decide').fill('2')
  await both(page, 'set-up-auto')
  await page.getByRole('button', { name: 'Create the keys' }).click()
  await page.getByRole('heading', { name: 'Keep these now' }).waitFor()
  await both(page, 'keep-recovery')
  const kept = await keepAll(page)
  equal(Object.keys(kept), ['Recovery key share 1', 'Recovery key share 2', 'Recovery key share 3', 'Initial root token'], 'what is kept')
  await page.getByRole('button', { name: 'All are kept: go on' }).click()
  const root = kept['Initial root token']
  await signIn(page, root)
  await page.getByRole('link', { name: 'Cluster' }).click()
  await page.getByRole('tab', { name: 'Seal' }).click()
  await page.getByText('2 of 3 shares').waitFor()
  await page.getByRole('heading', { name: 'New recovery keys' }).waitFor()
  await both(page, 'seal-auto')

  await api('PUT', 'sys/seal', {}, root, node)
  await page.getByRole('heading', { name: 'This node is sealed' }).waitFor()
  await both(page, 'sealed-auto')
  await enterShare(page, 'Recovery key share', kept['Recovery key share 1'])
  await page.getByText('1 of 2 shares entered').waitFor()
  await enterShare(page, 'Recovery key share', kept['Recovery key share 3'])
  await page.getByRole('heading', { name: 'Cluster', level: 1 }).waitFor()
  await until('it is unsealed', async () => !(await (await fetch(`${node}/v1/sys/seal-status`)).json()).sealed)
}
