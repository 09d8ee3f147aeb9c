// Who comes in, where they may go, and how a session ends.
import { api, both, check, enter, equal, keys, nodes, open, setting, signIn, until, vault } from './lib.mjs'

const reader = 'path "secret/*" { capabilities = ["create", "read", "update", "list", "scan"] }'

const signedIn = (page) => page.locator('nav[aria-label="Main"]').waitFor({ state: 'attached' })
const go = (page, name = 'Sign in') => page.getByRole('button', { name, exact: true }).click()
const user = (page) => page.getByRole('button', { name: 'Your session' }).or(page.locator('.account-name').last()).first().innerText()

/** The page offers what the server shows to everyone, by its description, and the rest by kind and path. */
export async function methods() {
  await api('POST', 'sys/policies/acl/reader-all', { policy: reader })
  await api('POST', 'sys/auth/staff', { type: 'userpass', description: 'Staff', config: { listing_visibility: 'unauth' } })
  await api('POST', 'auth/staff/users/ada', { password: 'correct horse', token_policies: 'reader-all' })
  await api('POST', 'sys/auth/robots', { type: 'approle' })
  await api('POST', 'auth/robots/role/r', { token_policies: 'reader-all' })
  const page = await open(nodes[1] + '/ui/')
  await page.getByLabel('Username').waitFor() // what is shown comes first
  equal(await page.getByLabel('Method').locator('option').allInnerTexts(), ['Staff (staff)', 'Token', 'Another method'], 'the methods')
  await both(page, 'sign-in-methods')
  await page.getByLabel('Username').fill('ada')
  await page.getByLabel('Password', { exact: true }).fill('wrong')
  await go(page)
  await page.getByRole('alert').waitFor()
  await page.getByLabel('Password', { exact: true }).fill('correct horse')
  await go(page)
  await signedIn(page)
  check((await user(page)).includes('ada'), 'it is another one who is signed in')

  const other = await open(nodes[1] + '/ui/')
  await other.getByLabel('Method').selectOption('Another method')
  await other.getByLabel('Kind of method').selectOption('AppRole')
  await other.getByLabel('Mounted at').fill('/robots/')
  await other.getByLabel('Role ID').fill((await api('GET', 'auth/robots/role/r/role-id')).data.role_id)
  await other.getByLabel('Secret ID', { exact: true }).fill((await api('POST', 'auth/robots/role/r/secret-id', {})).data.secret_id)
  await both(other, 'sign-in-other')
  await go(other)
  await signedIn(other)
  await other.reload()
  await other.getByLabel('Role ID').waitFor() // the method is remembered, and nothing else is
}

export async function kubernetes() {
  await api('POST', 'sys/auth/pods', { type: 'kubernetes', description: 'Service accounts', config: { listing_visibility: 'unauth' } })
  await api('POST', 'auth/pods/config', setting.kubernetes.config)
  await api('POST', 'auth/pods/role/app', { bound_service_account_names: 'default', bound_service_account_namespaces: 'app', token_policies: 'reader-all' })
  const page = await open(nodes[0] + '/ui/')
  await page.getByLabel('Method').selectOption('Service accounts (pods)')
  await page.getByLabel('Role').fill('app')
  await page.getByLabel('Service account token').fill(setting.kubernetes.jwt + '\n')
  await go(page)
  await signedIn(page)
  check((await user(page)).includes('pods-app-default'), `signed in as ${await user(page)}`)
}

/** The provider's window, from the click to the token; it is one that keeps its windows apart. */
export async function oidc() {
  await api('POST', 'sys/auth/sso', { type: 'oidc', description: 'Company account', config: { listing_visibility: 'unauth' } })
  await api('POST', 'auth/sso/config', { ...setting.oidc, default_role: 'dev' })
  await api('POST', 'auth/sso/role/dev', { user_claim: 'sub', allowed_redirect_uris: [`${nodes[1]}/ui/vault/auth/sso/oidc/callback`], token_policies: 'reader-all' })
  const page = await open(nodes[1] + '/ui/', { ignoreHTTPSErrors: true })
  await page.getByLabel('Method').selectOption('Company account (sso)')
  await both(page, 'sign-in-oidc')
  const popup = page.waitForEvent('popup')
  await go(page, 'Continue with the provider')
  await signedIn(page)
  await until('the window closes, or says that one may', async () => (await popup).isClosed() || /you can close this window/.test(await (await popup).locator('body').innerText().catch(() => '')))
  check((await user(page)).includes('ada'), `signed in as ${await user(page)}`)
}

/** Into a nested namespace, and about in those that the token may enter. */
export async function namespaces() {
  for (const path of ['sys/namespaces/team', 'team/sys/namespaces/dev', 'team/dev/sys/namespaces/deep']) await api('POST', path, {})
  for (const ns of ['team', 'team/dev', 'team/dev/deep']) {
    await api('POST', `${ns}/sys/mounts/${ns.split('/').at(-1)}-kv`, { type: 'kv', options: { version: '2' } })
    await api('POST', `${ns}/sys/policies/acl/all`, { policy: 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }' })
  }
  await api('POST', 'team/sys/auth/people', { type: 'userpass', description: 'People of the team', config: { listing_visibility: 'unauth' } })
  await api('POST', 'team/auth/people/users/bob', { password: 'pw', token_policies: 'all' })
  const page = await open(nodes[0] + '/ui/')
  await page.getByText('More options').click()
  await page.getByLabel('Namespace').fill('/team/')
  await page.getByLabel('Namespace').blur()
  await page.getByLabel('Method').locator('option', { hasText: 'People of the team (people)' }).waitFor({ state: 'attached' })
  await page.getByLabel('Method').selectOption('People of the team (people)')
  await page.getByLabel('Username').fill('bob')
  await page.getByLabel('Password', { exact: true }).fill('pw')
  await both(page, 'sign-in-namespace')
  await go(page)
  await page.getByRole('link', { name: 'team-kv/' }).waitFor()
  const picker = page.getByRole('button', { name: /^Namespace/ })
  const entries = async () => { await picker.click(); return page.getByRole('menuitem').allInnerTexts() }
  equal(await entries(), ['dev', 'dev/deep'], 'where bob may go')
  await both(page, 'namespaces')
  await page.getByRole('menuitem', { name: 'dev/deep' }).click()
  await page.getByRole('link', { name: 'deep-kv/' }).waitFor()
  equal(await page.getByRole('link', { name: 'team-kv/' }).count(), 0, 'engines of the namespace that was left')
  equal(await entries(), ['Up to team/dev', 'Up to team'], 'where bob may go from there')
  await page.keyboard.press('Escape')

  // What is typed is not thrown away by a change of namespace; what is saved is saved where it was typed.
  await page.getByRole('link', { name: 'deep-kv/' }).click()
  await page.getByRole('link', { name: 'Create secret' }).click()
  await page.getByLabel('Path').fill('app')
  await page.getByLabel('Key 1').fill('k')
  await page.getByLabel('Value 1').fill('v')
  await picker.click()
  await page.getByRole('menuitem', { name: 'Up to team', exact: true }).click()
  const ask = page.getByRole('alertdialog')
  await ask.getByRole('button', { name: 'Cancel' }).click()
  equal(await page.getByLabel('Value 1').inputValue(), 'v', 'what was typed')
  await page.getByRole('button', { name: 'Review and save' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.getByRole('heading', { name: 'app', level: 1 }).waitFor()
  equal((await api('GET', 'team/dev/deep/deep-kv/data/app')).data.data, { k: 'v' }, 'the secret of the nested namespace')
  await picker.click()
  await page.getByRole('menuitem', { name: 'Up to team/dev' }).click()
  await page.getByRole('link', { name: 'dev-kv/' }).waitFor()

  // The root's token goes everywhere, from wherever it signs in.
  const root = await enter(keys.root)
  await root.getByRole('button', { name: /^Namespace/ }).click()
  equal(await root.getByRole('menuitem').allInnerTexts(), ['team', 'team/dev', 'team/dev/deep'], 'where root may go')
}

/** A token ends by its TTL while someone types: the form comes over the page, and the page goes on. */
export async function ttl() {
  const { auth } = await api('POST', 'auth/token/create', { policies: ['reader-all'], ttl: '6s', explicit_max_ttl: '6s' })
  const page = await enter(auth.client_token, '/secrets/secret%2F/create/')
  await page.getByLabel('Path').fill('kept/by-ttl')
  await page.getByLabel('Key 1').fill('typed')
  await page.getByLabel('Value 1').fill('before the end')
  await page.getByText('Your session has ended: its token expired.').waitFor()
  await signIn(page, keys.root)
  await page.getByRole('button', { name: 'Review and save' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.getByRole('heading', { name: 'by-ttl', level: 1 }).waitFor()
  equal(await vault('kv', 'get', '-field=typed', 'secret/kept/by-ttl'), 'before the end', 'what was typed')
}

export async function renewal(note) {
  const { auth } = await api('POST', 'auth/token/create', { policies: ['reader-all'], period: '6s' })
  const page = await enter(auth.client_token)
  const began = Date.now()
  for (let i = 0; i < 3; i++) await page.waitForResponse((r) => r.url().endsWith('/auth/token/renew-self') && r.ok())
  note(`renewed three times in ${Date.now() - began} ms`)
  check(Date.now() - began > 6000, 'it renews a token over and over')
  await page.getByRole('link', { name: 'secret/' }).click()
  await page.getByRole('searchbox').waitFor()
}

/** Nobody is there: the session ends after as long as was chosen, not before, and not while someone works. */
export async function idle() {
  const page = await open(nodes[0] + '/ui/', { clock: true })
  await signIn(page, keys.root)
  await signedIn(page)
  await page.clock.fastForward('14:00')
  await page.keyboard.press('Shift')
  await page.clock.fastForward('14:00')
  await page.getByRole('heading', { name: 'Secrets', level: 1 }).waitFor()
  equal(await page.getByRole('heading', { name: 'Sign in again' }).count(), 0, 'it ended while someone was there')
  await page.clock.fastForward('02:00')
  await page.getByText('You were away for 15 minutes.').waitFor()
  await page.getByText('More options').click()
  await page.getByLabel('Sign out when nobody is there for').selectOption('5 minutes')
  await signIn(page, keys.root)
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor({ state: 'detached' })
  await page.clock.fastForward('06:00')
  await page.getByText('You were away for 5 minutes.').waitFor()
}

/** The token is in the page's memory alone, or, if asked for, in this tab's storage until its session ends. */
export async function storage() {
  const { auth } = await api('POST', 'auth/token/create', { policies: ['reader-all'] })
  const page = await enter(auth.client_token)
  const stored = () => page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]))
  check(!(await stored()).includes(auth.client_token), 'the token is stored unasked')
  await page.reload()
  await page.getByLabel('Stay signed in when this tab is reloaded').check()
  await signIn(page, auth.client_token)
  await signedIn(page)
  equal(await page.evaluate(() => sessionStorage.getItem('strongroom.session')), auth.client_token, 'what is kept')
  check(!await page.evaluate((t) => JSON.stringify({ ...localStorage }).includes(t), auth.client_token), 'the token outlives the tab')
  await page.reload()
  await signedIn(page)
  const tab = await page.context().newPage()
  await tab.goto(nodes[0] + '/ui/')
  await tab.getByRole('heading', { name: 'Sign in' }).waitFor()
  await api('POST', 'auth/token/revoke', { token: auth.client_token })
  await page.getByRole('link', { name: 'secret/' }).click()
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
  check(!(await stored()).includes(auth.client_token), 'the token is stored after its end')
}
