// Looking for a secret in all folders below, and two editors of an engine that keeps no versions.
import { api, both, check, enter, equal, keys } from './lib.mjs'
import { save } from './secrets.mjs'

export async function below(note) {
  await api('POST', 'sys/mounts/deep', { type: 'kv', options: { version: '1' } })
  let next = 0
  await Promise.all(Array.from({ length: 16 }, async () => { // more than one page of paths
    for (let i; (i = next++) < 2_500;) await api('POST', `deep/${i % 10}/team-${i % 50}/app-${String(i).padStart(4, '0')}`, { k: 'v' })
  }))
  const page = await enter(keys.root, '/secrets/deep%2F/list/')
  const asked = []
  page.on('request', (r) => { if (r.url().includes('scan=true')) asked.push(r.url()) })
  await page.getByRole('searchbox').fill('app-2499')
  await page.getByText('Nothing by that name').waitFor()
  const began = Date.now()
  await page.getByRole('button', { name: 'All below' }).click()
  await page.getByRole('link', { name: '9/team-49/app-2499' }).waitFor()
  note(`found among 2,500 paths in ${Date.now() - began} ms, ${asked.length} requests`)
  equal(asked.length, 2, 'pages asked for')
  await page.getByText('1 of 2,500', { exact: true }).waitFor()
  await both(page, 'search-below')
  await page.getByRole('searchbox').fill('TEAM-7/')
  await page.getByText('50 of 2,500', { exact: true }).waitFor()
  equal(asked.length, 2, 'it asks again for each letter')
  await page.getByRole('searchbox').fill('app-')
  await page.getByText('500+ of', { exact: false }).waitFor()
  await page.getByRole('searchbox').fill('app-2499')
  await page.getByText('1 of 2,500', { exact: true }).waitFor()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'app-2499', level: 1 }).waitFor()

  // Who may list but not scan is not offered it.
  await api('POST', 'sys/policies/acl/lister', { policy: 'path "deep/*" { capabilities = ["list"] }' })
  const { auth } = await api('POST', 'auth/token/create', { policies: ['lister'] })
  const other = await enter(auth.client_token, '/secrets/deep%2F/list/')
  await other.getByRole('searchbox').waitFor()
  equal(await other.getByRole('button', { name: 'All below' }).count(), 0, 'offers to scan')
}

/** Engines of version 1 keep no versions: what someone else wrote meanwhile is found just before saving. */
export async function plainEditors() {
  await api('POST', 'sys/mounts/plain', { type: 'kv', options: { version: '1' } })
  await api('POST', 'plain/race', { mine: '0', theirs: '0' })
  const page = await enter(keys.root, '/secrets/plain%2F/edit/race')
  await page.getByLabel('Value 1').fill('1')
  await api('POST', 'plain/race', { mine: '0', theirs: '2' })
  await save(page)
  const dialog = page.getByRole('dialog', { name: 'Someone saved before you' })
  await dialog.waitFor()
  check(!/version 0/i.test(await dialog.innerText()), 'it speaks of versions that there are not')
  equal((await api('GET', 'plain/race')).data, { mine: '0', theirs: '2' }, 'before the decision')
  await dialog.getByRole('button', { name: 'Save the merged secret' }).click()
  await dialog.waitFor({ state: 'detached' })
  equal((await api('GET', 'plain/race')).data, { mine: '1', theirs: '2' }, 'after it')
}
