// Runs the steps in order, and says of each on a line of JSON how it went. One that fails does not end the others, but for the first.
import { browser, endAnswers, takeComplaints } from './lib.mjs'
import * as access from './access.mjs'
import * as database from './database.mjs'
import * as founding from './founding.mjs'
import * as hard from './hard.mjs'
import * as kubernetes from './kubernetes.mjs'
import * as methods from './methods.mjs'
import * as operate from './operate.mjs'
import * as pki from './pki.mjs'
import * as signin from './signin.mjs'
import * as search from './search.mjs'
import * as secrets from './secrets.mjs'
import * as start from './start.mjs'
import * as typed from './typed.mjs'

const steps = [
  ['set up and unseal three nodes', start.setUp],
  ['set up with shares for owners of PGP keys', founding.encrypted],
  ['set up with a seal that needs nobody', founding.alone],
  ['budget of the first page', start.budget],
  ['budget of all pages', start.pageBudgets],
  ['enable an engine', secrets.enable],
  ['write, read, rotate a secret', secrets.rotate],
  ['versions', secrets.versions],
  ['metadata', secrets.metadata],
  ['JSON and what it refuses', secrets.json],
  ['share once', secrets.share],
  ['manifest', secrets.manifest],
  ['two editors', hard.twoEditors],
  ['a token that expires under an editor', hard.expiry],
  ['a narrow policy', hard.narrow],
  ['policies', access.policies],
  ['auth methods and roles', methods.methods],
  ['roles of jwt, oidc and cert', methods.foreign],
  ['what the server has', methods.offered],
  ['password policies', access.passwords],
  ['tokens and leases', access.tokens],
  ['entities and groups', access.identity],
  ['transit', access.transit],
  ['users of a database', database.day],
  ['a narrow policy, users of a database', database.narrow],
  ['certificates', pki.day],
  ['a narrow policy, certificates', pki.narrow],
  ['namespaces', access.namespaces],
  ['a narrow policy, access', access.narrowAccess],
  ['names that look like HTML', access.accessMarkup],
  ['audit log', operate.audit],
  ['recorded headers', operate.headers],
  ['quotas', operate.quotas],
  ['browsers', operate.browsers],
  ['cluster', operate.cluster],
  ['licences of the parts', operate.licences],
  ['seal', operate.seal],
  ['snapshots', operate.snapshots],
  ['Kubernetes', kubernetes.consumers],
  ['what is typed, in tabs', typed.tabs],
  ['what is typed, in forms', typed.forms],
  ['what is typed, on a sealed node', typed.sealedNode],
  ['360 pixels, access', access.smallAccess],
  ['360 pixels, operate', operate.smallOperate],
  ['20,000 names', hard.many],
  ['text that looks like HTML', hard.markup],
  ['keyboard alone', hard.keyboard],
  ['keyboard alone, elsewhere', hard.keyboardElsewhere],
  ['a node is sealed under a reader', hard.sealed],
  ['360 pixels', hard.small],
  ['search all folders below', search.below],
  ['two editors, version 1', search.plainEditors],
  ['methods that the server shows', signin.methods],
  ['sign in by a service account', signin.kubernetes],
  ['sign in by OIDC', signin.oidc],
  ['nested namespaces', signin.namespaces],
  ['a token ends by its TTL', signin.ttl],
  ['renewal', signin.renewal],
  ['nobody is there', signin.idle],
  ['where the token is kept', signin.storage],
  ['a node is removed', operate.removal],
]

process.on('SIGTERM', () => void browser.close().finally(() => process.exit(1)))
const only = process.env.ONLY // for working on a step: a regular expression of names
for (const [name, run] of steps) {
  if (only && run !== start.setUp && run !== secrets.enable && !new RegExp(only).test(name)) continue
  const began = Date.now()
  const notes = []
  let error = ''
  try {
    await run((note) => notes.push(note))
  } catch (e) {
    error = String(e.stack ?? e)
  }
  await endAnswers()
  const complaints = takeComplaints()
  if (complaints.length > 0) error += `\npages complained: ${complaints.join('\n')}`
  console.log(JSON.stringify({ name, error, notes, ms: Date.now() - began }))
  for (const context of browser.contexts()) await context.close()
  if (error && run === start.setUp) break
}
await browser.close()
