// What the operator reports, by its own client: which resources in Kubernetes use which secrets.
import { api, both, check, enter, equal, keys, nodes, setting, until } from './lib.mjs'

const html = '<img src=x onerror=alert(1)>'

/** Has the operator's client report, by a login that may read secret/data/app/* and nothing else. */
async function report(resources) {
  const answer = await fetch(setting.reporter, { method: 'POST', body: JSON.stringify({ address: nodes[2], mount: 'reports', role: 'app', resources }) })
  check(answer.ok, `the reporter: ${await answer.text()}`)
}

export async function consumers(note) {
  let page = await enter(keys.root, '/kubernetes')
  await page.getByText('No operator reports to this server').waitFor()
  await page.getByText('controller.manager.reportAs=prod').waitFor()
  await both(page, 'kubernetes-off')

  await api('POST', 'sys/auth/reports', { type: 'kubernetes' })
  await api('POST', 'auth/reports/config', setting.kubernetes.config)
  await api('POST', 'sys/policies/acl/reports-app', { policy: 'path "secret/data/app/*" { capabilities = ["read"] }' })
  await api('POST', 'sys/policies/acl/keeper', { policy: 'path "secret/metadata/app/*" { capabilities = ["read"] }\npath "secret/data/app/*" { capabilities = ["read"] }' })
  await api('POST', 'auth/reports/role/app', { bound_service_account_names: 'default', bound_service_account_namespaces: 'app', token_policies: 'reports-app', token_ttl: '1h' })
  await api('POST', 'secret/data/app/web', { data: { password: 'kubernetes-must-not-see-4711' } })
  await api('POST', 'secret/data/app/web', { data: { password: 'kubernetes-must-not-see-4712' } })
  const synced = new Date(Date.now() - 90_000).toISOString()
  const one = (name, paths, more = {}) => ({ kind: 'VaultSecret', namespace: 'shop', name, paths, state: 'Valid', version: '2', synced, ...more })
  await report([
    one('web', ['secret/data/app/web']), one('late', ['secret/data/app/web'], { version: '1' }), one('all', ['secret/data/app/']),
    one('missing', ['secret/data/app/none'], { state: 'NotFound', version: '', synced: '' }), one('pushed', ['secret/data/app/pushed'], { kind: 'VaultPushSecret' }),
    one('foreign', ['secret/data/foreign']), one(html, ['secret/data/app/html']),
    ...Array.from({ length: 600 }, (_, i) => one(`many-${i}`, [`secret/data/app/many/${i}`])),
  ])
  const began = Date.now()
  await until('the report is there', async () => (await api('GET', 'sys/kubernetes/consumers?limit=1')).data.total === 606, 30_000)
  note(`606 resources are there ${((Date.now() - began) / 1000).toFixed(1)} s after the operator knows them`)
  page = await enter(keys.root, '/kubernetes')
  const rows = page.getByRole('region', { name: 'Resources' }).locator('tbody tr')
  await page.getByText('The first 500 of 606').waitFor()
  await page.getByRole('searchbox').fill('SHOP/m')
  await page.getByLabel('State').selectOption('NotFound')
  await until('what is missing is left', async () => await rows.count() === 1)
  check(/missing\s+VaultSecret[^]*secret\/data\/app\/none[^]*NotFound[^]*never/.test(await rows.first().innerText()), `the row: ${await rows.first().innerText()}`)
  await page.getByLabel('State').selectOption('')
  await page.getByRole('searchbox').fill('img src')
  await page.getByText(html).waitFor()
  await page.getByRole('searchbox').fill('foreign')
  await page.getByText('Nothing like that').waitFor()
  await page.getByRole('searchbox').fill('app/web')
  await until('two are left', async () => await rows.count() === 2)
  await page.getByText('2 resources.').waitFor()
  await both(page, 'kubernetes')

  await rows.filter({ hasText: 'late' }).getByRole('link', { name: 'secret/data/app/web' }).click()
  await page.getByRole('heading', { name: 'web', level: 1 }).waitFor()
  await page.getByRole('tab', { name: 'Kubernetes' }).click()
  const readers = page.getByRole('region', { name: 'Read in Kubernetes by' }).locator('tbody tr')
  await until('who reads it', async () => await readers.count() === 3) // one of them as all below the folder
  await page.getByText('1 has an older version than the current one, which is 2.').waitFor()
  await both(page, 'secret-kubernetes')
  await narrow()
  {
    const small = await enter(keys.root, '/kubernetes', { width: 360, height: 720, node: nodes[1] })
    await small.getByRole('table').waitFor()
    await both(small, 'small-kubernetes')
    await small.context().close()
  }
}

/** Who may read a secret and not its metadata is told of no other reader; who may is, without the page of all. */
async function narrow() {
  const token = async (policy) => (await api('POST', 'auth/token/create', { policies: [policy], ttl: '1h' })).auth.client_token
  const app = await enter(await token('reports-app'), '/secrets/secret%2F/show/app/web')
  await app.getByRole('tab', { name: 'Use it' }).waitFor()
  await app.getByRole('tab', { name: 'Data' }).waitFor()
  equal(await app.getByRole('tab', { name: 'Kubernetes' }).count(), 0, 'it shows other readers')
  equal(await app.getByRole('link', { name: 'Kubernetes' }).count(), 0, 'it offers the page')
  const keeper = await enter(await token('keeper'), '/secrets/secret%2F/show/app/web')
  await keeper.getByRole('tab', { name: 'Kubernetes' }).click()
  await until('who reads it', async () => await keeper.getByRole('region', { name: 'Read in Kubernetes by' }).locator('tbody tr').count() === 3)
  equal(await keeper.getByRole('link', { name: 'Kubernetes' }).count(), 0, 'it offers the page')
}
