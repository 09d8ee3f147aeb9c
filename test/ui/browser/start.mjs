import { both, check, equal, keys, nodes, open } from './lib.mjs'

/** Sets up the first node, keeps the shares, and unseals all three, each on its own page. */
export async function setUp() {
  const page = await open(nodes[0] + '/')
  await page.getByRole('heading', { name: 'Set up Strongroom' }).waitFor()
  await both(page, 'set-up')
  await page.getByLabel('Needed to unseal').fill('9')
  await page.getByText('Between 1 and 5.').waitFor()
  await page.getByLabel('Needed to unseal').fill('3')
  await page.getByRole('button', { name: 'Create the keys' }).click()
  await page.getByRole('heading', { name: 'Keep these now' }).waitFor()
  await both(page, 'keep')
  const names = ['Unseal key share 1', 'Unseal key share 2', 'Unseal key share 3', 'Unseal key share 4', 'Unseal key share 5', 'Initial root token']
  const on = page.getByRole('button', { name: /still to keep|go on/ })
  for (const name of names) {
    check(await on.isDisabled(), `the page goes on before ${name} is kept`)
    const row = page.getByRole('listitem').filter({ has: page.getByText(name, { exact: true }) })
    await row.getByRole('button', { name: `Show ${name}` }).click()
    const value = await row.locator('code').innerText()
    await row.getByRole('button', { name: `Copy ${name}` }).click()
    equal(await page.evaluate(() => navigator.clipboard.readText()), value, `clipboard of ${name}`)
    if (name === 'Initial root token') keys.root = value
    else keys.shares.push(value)
    await row.getByRole('checkbox').check()
  }
  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Download Unseal key share 1' }).click()
  equal((await download).suggestedFilename(), 'unseal-share-1.txt', 'name of the download')
  await on.click()
  await unseal(page, true)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await both(page, 'sign-in')
  for (const node of nodes.slice(1)) {
    const other = await open(node + '/ui/')
    await unseal(other)
    await other.getByRole('heading', { name: 'Sign in' }).waitFor()
  }
}

/** Enters shares until the node is unsealed. With `stumble`, begins again once, and enters rubbish once. */
export async function unseal(page, stumble) {
  await page.getByRole('heading', { name: 'Unseal this node' }).waitFor({ timeout: 30_000 })
  const enterShare = async (share) => {
    await page.getByLabel('Key share', { exact: true }).fill(share)
    await page.getByRole('button', { name: 'Enter share' }).click()
  }
  if (stumble) {
    await enterShare(keys.shares[4])
    await page.getByText('1 of 3 shares entered').waitFor()
    await both(page, 'unseal')
    await page.getByRole('button', { name: 'Begin again' }).click()
    await page.getByText('0 of 3 shares entered').waitFor()
    await enterShare('not a share!')
    await page.getByRole('alert').filter({ hasText: 'hex or base64' }).waitFor()
  }
  for (const [i, share] of keys.shares.slice(0, 3).entries()) {
    await enterShare(share)
    if (i < 2) await page.getByText(`${i + 1} of 3 shares entered`).waitFor()
  }
}

/** No page takes much more than the first, and each is soon there. */
export async function pageBudgets(note) {
  const worst = { size: 0, ms: 0 }
  for (const path of ['/secrets', '/policies', '/policies/passwords/create', '/auth', '/identity', '/tokens', '/namespaces', '/cluster', '/kubernetes', '/quotas', '/audit']) {
    const page = await open(nodes[0] + '/ui' + path)
    await page.getByLabel('Token', { exact: true }).fill(keys.root)
    const began = Date.now()
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { level: 1 }).filter({ hasNotText: 'Sign in' }).waitFor()
    const ms = Date.now() - began
    await page.waitForLoadState('networkidle')
    const files = await page.evaluate(() => performance.getEntriesByType('resource').map((e) => e.name).filter((n) => new URL(n).pathname.startsWith('/ui/assets/')))
    let gzipped = 0
    for (const name of new Set(files)) gzipped += Number((await fetch(name, { method: 'HEAD', headers: { 'Accept-Encoding': 'gzip' } })).headers.get('content-length'))
    check(gzipped > 20 * 1024 && gzipped < 400 * 1024, `${path} takes ${gzipped} bytes gzipped`)
    check(ms < 3000, `${path} takes ${ms} ms`)
    if (gzipped > worst.size) Object.assign(worst, { size: gzipped, path })
    worst.ms = Math.max(worst.ms, ms)
    await page.context().close()
  }
  note(`the largest page is ${worst.path}, ${(worst.size / 1024).toFixed(0)} KiB gzipped; the slowest took ${worst.ms} ms from the click on`)
}

/** The first page is small, and soon ready. The browser runs already; its cache is empty. */
export async function budget(note) {
  const sizes = new Map()
  const times = []
  for (let i = 0; i < 3; i++) {
    const page = await open(nodes[0] + '/ui/vault/auth/none') // warms up nothing but the connection
    const cdp = await page.context().newCDPSession(page)
    await cdp.send('Network.enable')
    await cdp.send('Network.setCacheDisabled', { cacheDisabled: true })
    cdp.on('Network.loadingFinished', (e) => sizes.set(`${i} ${e.requestId}`, e.encodedDataLength))
    const began = Date.now()
    await page.goto(nodes[0] + '/ui/')
    await page.getByLabel('Token', { exact: true }).fill('x')
    times.push(Date.now() - began)
  }
  const kib = [...sizes.values()].reduce((a, b) => a + b, 0) / 3 / 1024
  times.sort((a, b) => a - b)
  note(`first page: ${kib.toFixed(0)} KiB, usable after ${times.join(', ')} ms`)
  const page = await open(nodes[0] + '/ui/')
  await page.getByLabel('Token', { exact: true }).waitFor()
  const files = await page.evaluate(() => performance.getEntriesByType('resource').map((e) => e.name).filter((n) => new URL(n).pathname.startsWith('/ui/')))
  let gzipped = 0 // as a client is given it that takes no Brotli
  for (const name of [nodes[0] + '/ui/', ...new Set(files)]) {
    const answer = await fetch(name, { method: 'HEAD', headers: { 'Accept-Encoding': 'gzip' } })
    equal(answer.headers.get('content-encoding'), 'gzip', `form of ${name}`)
    gzipped += Number(answer.headers.get('content-length'))
  }
  note(`${(gzipped / 1024).toFixed(0)} KiB gzipped`)
  check(kib > 20 && gzipped > 20 * 1024 && gzipped < 400 * 1024, `the first page is ${gzipped} bytes gzipped, ${kib} KiB sent`)
  check(times[0] < 1000, `the first page takes ${times[0]} ms`)
}
