// The days that are not so fine.
import { api, both, check, enter, equal, keys, nodes, signIn, until, vault } from './lib.mjs'
import { save } from './secrets.mjs'
import { unseal } from './start.mjs'

/** Two people edit the same version: the second is shown both, and nothing of either is lost. */
export async function twoEditors() {
  await vault('kv', 'put', 'secret/race', 'mine=0', 'theirs=0', 'both=0')
  const pages = await Promise.all([0, 1].map((i) => enter(keys.root, '/secrets/secret%2F/edit/race', { node: nodes[i] })))
  const fill = async (page, key, text) => {
    const row = page.locator('.pair').filter({ has: page.locator(`input[value="${key}"]`) })
    await row.locator('textarea').fill(text)
  }
  await fill(pages[0], 'theirs', '1')
  await fill(pages[0], 'both', '1')
  await fill(pages[1], 'mine', '2')
  await fill(pages[1], 'both', '2')
  await save(pages[0])
  await pages[0].getByRole('heading', { name: 'race', level: 1, exact: true }).waitFor() // not that of the editor
  await save(pages[1])
  const dialog = pages[1].getByRole('dialog', { name: 'Someone saved before you' })
  await dialog.getByText('Show values').click()
  await both(pages[1], 'conflict')
  check(await dialog.getByRole('button', { name: '1 to decide' }).isDisabled(), 'it decides for the reader')
  equal((await api('GET', 'secret/data/race')).data.data, { mine: '0', theirs: '1', both: '1' }, 'before the decision')
  await dialog.getByLabel('both: keep yours').check()
  await dialog.getByRole('button', { name: 'Save the merged secret' }).click()
  await pages[1].getByRole('heading', { name: 'race', level: 1, exact: true }).waitFor()
  equal((await api('GET', 'secret/data/race')).data.data, { mine: '2', theirs: '1', both: '2' }, 'after it')
}

export async function expiry() {
  const { auth } = await api('POST', 'auth/token/create', { policies: ['root'], ttl: '1h', explicit_max_ttl: '1h' })
  const page = await enter(auth.client_token, '/secrets/secret%2F/create/')
  await page.getByLabel('Path').fill('kept/while-away')
  await page.getByLabel('Key 1').fill('typed')
  await page.getByLabel('Value 1').fill('by hand')
  await api('POST', 'auth/token/revoke', { token: auth.client_token })
  await save(page)
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
  await both(page, 'sign-in-again')
  check(!await page.getByLabel('Value 1').isVisible(), 'the page can be read while nobody is signed in')
  await signIn(page, keys.root)
  await page.getByRole('heading', { name: 'while-away', level: 1 }).waitFor() // the save that was refused went through
  equal((await api('GET', 'secret/data/kept/while-away')).data.data, { typed: 'by hand' }, 'what was typed')
}

/** Only what the token may do is offered. */
export async function narrow() {
  await vault('kv', 'put', 'secret/app/db', 'password=x')
  await api('POST', 'sys/policies/acl/reader', { policy: 'path "secret/data/app/*" { capabilities = ["read"] }\npath "secret/metadata/app/*" { capabilities = ["list", "read"] }' })
  const { auth } = await api('POST', 'auth/token/create', { policies: ['reader'], ttl: '1h' })
  const page = await enter(auth.client_token)
  await page.getByRole('link', { name: 'secret/' }).waitFor()
  equal(await page.getByRole('link', { name: 'Enable engine' }).count(), 0, 'offers to enable')
  await page.getByRole('link', { name: 'secret/' }).click()
  await page.getByText('You may not list this folder').waitFor()
  await both(page, 'no-list')
  await page.getByLabel('Path of the secret').fill('app/')
  await page.getByRole('button', { name: 'Open' }).click()
  await page.getByRole('link', { name: 'db' }).waitFor()
  equal(await page.getByRole('link', { name: 'Create secret' }).count(), 0, 'offers to create')
  await page.getByRole('link', { name: 'db' }).click()
  await page.getByRole('button', { name: 'Reveal password' }).click()
  equal(await page.getByRole('link', { name: 'New version' }).count(), 0, 'offers to write')
  await page.getByRole('button', { name: 'More about this secret' }).click()
  equal(await page.getByRole('menuitem').allInnerTexts(), ['Share once…'], 'the menu')
  await page.keyboard.press('Escape')
  await page.getByRole('tab', { name: 'Versions' }).click()
  await page.getByRole('button', { name: 'Version 1', exact: true }).click()
  equal(await page.getByRole('menuitem').allInnerTexts(), ['Show'], 'the menu of a version')
}

export async function many(note) {
  await api('POST', 'sys/mounts/many', { type: 'kv', options: { version: '1' } })
  let next = 0
  await Promise.all(Array.from({ length: 48 }, async () => {
    for (let i; (i = next++) < 20_000;) await api('POST', `many/key-${String(i).padStart(5, '0')}`, { k: 'v' })
  }))
  const page = await enter(keys.root)
  const began = Date.now()
  await page.getByRole('link', { name: 'many/' }).click()
  await page.getByRole('link', { name: 'key-00000' }).waitFor()
  note(`20,000 names listed in ${Date.now() - began} ms`)
  const slowest = await page.evaluate(async () => {
    const box = document.querySelector('.keys')
    let last = performance.now(), worst = 0
    for (let i = 0; i < 120; i++) {
      box.scrollTop += 4000
      await new Promise(requestAnimationFrame)
      const now = performance.now()
      worst = Math.max(worst, now - last)
      last = now
    }
    return Math.round(worst)
  })
  const items = await page.locator('.keys li').count()
  note(`slowest frame while scrolling ${slowest} ms, ${items} of the names exist at once`)
  check(items < 120, `${items} names are in the document at once`)
  check(slowest < 250, `a frame took ${slowest} ms`)
  const typed = Date.now()
  await page.getByRole('searchbox').fill('19987')
  await page.getByText('1 of 20,000').waitFor()
  note(`filtered in ${Date.now() - typed} ms`)
  await both(page, 'many')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'key-19987', level: 1 }).waitFor()
}

/** What looks like HTML is text, wherever it stands. */
export async function markup() {
  const evil = `<img src=x onerror="window.owned=1"><script>window.owned=1</script>`
  const name = `<svg onload='window.owned=1'>"%2e?#& {{7*7}}`
  await api('POST', `secret/data/xss/${encodeURIComponent(name)}`, { data: { [evil]: evil, 'javascript:window.owned=1': 'javascript:alert(1)' } })
  await api('POST', `secret/metadata/xss/${encodeURIComponent(name)}`, { custom_metadata: { evil: evil } })
  await api('POST', 'sys/mounts/evil', { type: 'kv', description: evil })
  const page = await enter(keys.root)
  await page.getByText(evil).waitFor()
  await page.getByRole('link', { name: 'secret/' }).click()
  await page.getByRole('link', { name: 'xss/' }).click()
  await page.getByRole('link', { name }).click()
  await page.getByRole('heading', { name, level: 1 }).waitFor()
  await page.getByRole('button', { name: 'Reveal all' }).click()
  await page.locator('.value').first().waitFor()
  await both(page, 'markup')
  await page.getByRole('button', { name: 'JSON', exact: true }).click()
  await page.getByRole('tab', { name: 'Metadata' }).click()
  await page.getByText(evil).waitFor()
  await page.getByRole('tab', { name: 'Use it' }).click()
  await page.getByRole('link', { name: 'New version' }).click()
  await page.getByLabel('Value 1').fill(evil + '!')
  await page.getByRole('button', { name: 'Review and save' }).click()
  await page.getByRole('dialog').getByText('Show values').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.getByText('Version 2').waitFor()
  equal(await page.evaluate(() => window.owned), undefined, 'a script of a secret ran')
  const { data } = await api('GET', `secret/data/xss/${encodeURIComponent(name)}`)
  check(Object.values(data.data).includes(evil + '!'), 'the secret of a strange name was saved elsewhere')
}

/** From signing in to a saved secret without a mouse. */
export async function keyboard() {
  const page = await enter(keys.root)
  await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor()
  await page.keyboard.press('Tab')
  equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content', 'the first stop')
  await page.keyboard.press('Enter')
  equal(await page.evaluate(() => document.activeElement.id), 'main', 'where it leads')
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keys' }).waitFor()
  await both(page, 'keys')
  await page.keyboard.press('Escape')
  await page.getByRole('link', { name: 'secret/' }).focus()
  await page.keyboard.press('Enter')
  await page.locator('.keys [data-index="1"]').waitFor() // once there are names, the field above them gets the focus
  await until('the search has the focus', () => page.evaluate(() => document.activeElement.matches('[data-search]')))
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowDown')
  await until('the arrow keys move', () => page.evaluate(() => document.activeElement.closest('[data-index]')?.dataset.index === '1'))
  await page.keyboard.press('n')
  await page.getByLabel('Path').waitFor()
  await page.keyboard.type('by-keyboard')
  await page.keyboard.press('Tab'); await page.keyboard.press('Tab'); await page.keyboard.press('Tab'); await page.keyboard.press('Tab')
  await page.keyboard.type('k')
  await page.keyboard.press('Tab')
  await page.keyboard.type('v')
  for (let i = 0; i < 3; i++) await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'by-keyboard', level: 1 }).waitFor()
  equal((await api('GET', 'secret/data/by-keyboard')).data.data, { k: 'v' }, 'what was typed')
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor()
}

/** The pages of operators by keys alone: from one to another, along tabs, into a dialog and out of it again. */
export async function keyboardElsewhere() {
  const page = await enter(keys.root)
  await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor()
  const focused = (re) => until(`${re} has the focus`, () => page.evaluate((s) => new RegExp(s).test(document.activeElement.getAttribute('aria-label') ?? document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent), re.source))
  await page.keyboard.press('g'); await page.keyboard.press('q')
  await page.getByText('No rate limit yet').waitFor()
  await page.keyboard.press('n')
  await focused(/^Name$/)
  await page.keyboard.type('by-keys')
  await page.keyboard.press('Tab'); await page.keyboard.press('Tab')
  await focused(/^Rate$/)
  await page.keyboard.type('900000')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'by-keys', exact: true }).waitFor()
  equal((await api('GET', 'sys/quotas/rate-limit/by-keys')).data.rate, 900000, 'the rate')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.keyboard.press('n')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await focused(/Add a rate limit/)
  await api('DELETE', 'sys/quotas/rate-limit/by-keys')

  // Tabs: the arrows move along them, and what n and / lead to is of the one that is shown.
  await page.getByRole('tab', { name: 'Rate limits' }).focus()
  await page.keyboard.press('ArrowRight')
  await page.getByText('No lease limit yet').waitFor()
  await page.keyboard.press('n')
  await page.getByRole('dialog', { name: 'Add a lease limit' }).waitFor()
  await page.keyboard.press('Escape')
  await page.keyboard.press('g'); await page.keyboard.press('p')
  await page.getByRole('link', { name: 'default' }).waitFor()
  await page.keyboard.press('/')
  await focused(/^Filter/)
  await page.getByRole('tab', { name: 'Policies' }).focus()
  await page.keyboard.press('ArrowRight')
  await page.getByLabel('Paths').waitFor()
  await page.keyboard.press('/')
  await focused(/^Paths$/)
  await page.keyboard.type('sys/mounts')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('region', { name: 'What the token may do' }).waitFor()
}

/** A standby is sealed while someone types on its page; unsealed there, the page is as it was. */
export async function sealed() {
  const leader = (await api('GET', 'sys/leader')).leader_address
  const standby = nodes.findLast((n) => n !== leader)
  const page = await enter(keys.root, '/secrets/secret%2F/create/', { node: standby })
  await page.getByLabel('Path').fill('typed-before')
  await api('PUT', 'sys/seal', {}, keys.root, standby)
  await unseal(page)
  await page.getByLabel('Path').waitFor()
  equal(await page.getByLabel('Path').inputValue(), 'typed-before', 'what was typed')
}

export async function small() {
  const page = await enter(keys.root, '/secrets', { width: 360, height: 720 })
  await page.getByRole('link', { name: 'secret/' }).waitFor()
  await both(page, 'small-engines')
  await page.getByRole('button', { name: 'Open the menu' }).click()
  await both(page, 'small-menu')
  await page.locator('.side').getByRole('link', { name: 'Secrets' }).click()
  await page.getByRole('button', { name: 'Open the menu' }).waitFor()
  await page.getByRole('link', { name: 'secret/' }).click()
  await page.getByRole('link', { name: 'nested' }).waitFor()
  await both(page, 'small-folder')
  await page.getByRole('link', { name: 'storage/' }).click()
  await page.getByRole('link', { name: 'longhorn-r2' }).click()
  await page.getByRole('button', { name: 'Reveal all' }).click()
  await both(page, 'small-secret')
  for (const tab of ['Versions', 'Metadata', 'Use it']) {
    await page.getByRole('tab', { name: tab }).click()
    await both(page, `small-${tab.toLowerCase().replace(' ', '-')}`)
  }
  await page.getByRole('link', { name: 'New version' }).click()
  await page.getByLabel('Value 1').waitFor()
  await both(page, 'small-edit')
}
