// What the steps share: the browser, pages of it that report what they must not do, the API and the command line.
import { execFile } from 'node:child_process'
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'

const require = createRequire(new URL('../../../ui/package.json', import.meta.url))
const { chromium } = require('playwright-core')
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

export const nodes = [0, 1, 2].map((i) => process.env['NODE_' + i])
/** What the test has besides the servers: an issuer, a Kubernetes API, owners of PGP keys. */
export const setting = JSON.parse(process.env.SETTING)
export const shots = process.env.SHOTS
if (shots) mkdirSync(shots, { recursive: true })
export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
/** What the cluster was given; the first step fills it in. */
export const keys = { shares: [], root: '' }

export function check(ok, what) { if (!ok) throw new Error(what) }
export function equal(got, want, what) { check(isDeepStrictEqual(got, want), `${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`) }

const complaints = []
/** What pages did that they must not, since the last call. */
export const takeComplaints = () => complaints.splice(0)

// Answers that a page provokes on purpose are not faults of it; the console tells of them all the same.
const expected = /Failed to load resource: the server responded with a status of (400|403|404|405|503)/

// What pages are answered is written down; the test holds it against the server's OpenAPI document, of which their types are made.
// Answers of other namespaces are not: the document is the root's.
const reading = new Set()
function writeDown(response) {
  const asked = response.request(), url = new URL(response.url())
  if (!url.pathname.startsWith('/v1/') || asked.headers()['x-vault-namespace']) return
  const line = response.text().then((Body) => appendFileSync(process.env.ANSWERS, JSON.stringify({
    Method: asked.method(), URL: decodeURI(url.pathname) + url.search, Status: response.status(), Type: response.headers()['content-type'] ?? '', Body,
  }) + '\n'), () => {}) // the page has gone
  reading.add(line)
  void line.finally(() => reading.delete(line))
}

/** Ends a step: with the document, as the server then is. An answer that was cut off, as by a node that is sealed, never has a text. */
export async function endAnswers() {
  await Promise.race([Promise.all(reading), new Promise((r) => setTimeout(r, 5000))])
  const document = keys.root && await api('GET', 'sys/internal/specs/openapi').catch(() => undefined) // it may be sealed just now
  if (document) appendFileSync(process.env.ANSWERS, JSON.stringify({ Document: document }) + '\n')
}

/** A page of its own, signed in as nobody. */
export async function open(url, { theme = 'light', width = 1280, height = 820, clock = false, ignoreHTTPSErrors = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ignoreHTTPSErrors, reducedMotion: 'reduce' })
  context.setDefaultTimeout(15_000)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(url).origin })
  const page = await context.newPage()
  const origin = new URL(url).origin
  page.on('console', (m) => { if (['error', 'warning'].includes(m.type()) && !expected.test(m.text())) complaints.push(`console: ${m.text().slice(0, 300)}`) })
  page.on('pageerror', (e) => complaints.push(`error: ${e.message}`))
  page.on('request', (r) => { if (!r.url().startsWith(origin + '/') && !r.url().startsWith('blob:')) complaints.push(`asked another origin: ${r.url().slice(0, 200)}`) })
  page.on('response', writeDown)
  if (clock) await page.clock.install()
  await page.goto(url)
  return page
}

export async function signIn(page, token) {
  await page.getByLabel('Method').selectOption('token')
  await page.getByLabel('Token', { exact: true }).fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** A page at `path` below /ui, signed in with `token`. */
export async function enter(token, path = '/secrets', options = {}) {
  const page = await open((options.node ?? nodes[0]) + '/ui' + path, options)
  await signIn(page, token)
  await page.locator('nav[aria-label="Main"]').waitFor({ state: 'attached' })
  return page
}

/** Asks a server past the UI; the answer's JSON, or null. Throws on refusal. */
export async function api(method, path, body, token = keys.root, node = nodes[0]) {
  const answer = await fetch(`${node}/v1/${path}`, { method, headers: { 'X-Vault-Token': token }, body: body && JSON.stringify(body) })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return text ? JSON.parse(text) : null
}

export async function vault(...args) {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, VAULT_ADDR: nodes[1], VAULT_TOKEN: keys.root }
  return (await promisify(execFile)(process.env.VAULT_BIN, args, { env })).stdout
}

/**
 * Puts text in the place of what an editor holds, by pasting, which the editor handles itself. Playwright's fill has the browser edit, which
 * keeps the colours of what was there as inline styles: the page's policy refuses those and says so.
 */
export async function retype(editor, what) {
  const page = editor.page()
  await page.evaluate((t) => navigator.clipboard.writeText(t), what)
  await editor.click()
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.press('ControlOrMeta+v')
}

/** Every violation that axe finds on the page as it is. */
export async function axe(page, name) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Runtime.evaluate', { expression: `${axeSource}; 0` }) // as a debugger: the page's policy lets no one else
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations
    .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? n.all[0]?.message ?? '')).join(' | ')}`))
  await cdp.detach()
  equal(found, [], `axe on ${name}`)
}

/** Has axe look at the page in both themes, and takes its picture. */
export async function both(page, name) {
  for (const theme of ['light', 'dark']) {
    await page.evaluate(async (t) => {
      document.documentElement.dataset.theme = t
      const settled = async () => {
        for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame)
        await Promise.all(document.getAnimations().filter((a) => a instanceof CSSTransition).map((a) => a.finished.catch(() => {})))
      }
      await Promise.race([settled(), new Promise((r) => setTimeout(r, 3000))]) // Chromium may draw no frames of a page that is behind another
    }, theme)
    await axe(page, `${name}, ${theme}`)
    if (shots) await page.screenshot({ path: join(shots, `${name}-${theme}.png`) })
  }
  await page.evaluate(() => { document.documentElement.dataset.theme = 'light' })
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  check(wide <= 0, `${name} is ${wide} px wider than the window`)
}

/** Waits until `try_` is true. */
export async function until(what, try_, ms = 15_000) {
  for (const end = Date.now() + ms; ;) {
    if (await try_()) return
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await new Promise((r) => setTimeout(r, 50))
  }
}
