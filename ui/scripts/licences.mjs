// Lists the packages whose code is in what Vite has built, as licences.json beside it: what the bundler put in, not what someone remembered.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

// Those that this project takes.
const taken = /^(MIT|ISC|0BSD|BSD-2-Clause|BSD-3-Clause|Apache-2\.0|MPL-2\.0)$/
// Code that the tools add themselves.
const tools = { vite: /^\0?vite\//, rolldown: /^\0?rolldown\// }

/** The folder of the package that a module is from; undefined for our own. */
export function packageOf(id) {
  const found = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id.replace(/^\0/, '').replaceAll('\\', '/'))
  return found?.[1]
}

/** What package.json in `folder` says of its package. Throws where it names no licence, or one that is not taken. */
export function describe(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  if (!taken.test(license ?? '')) throw new Error(`${name} ${version} is under ${license ?? 'no licence'}: see whether it may be bundled`)
  return { name, version, licence: license }
}

export const licences = () => ({
  name: 'licences',
  generateBundle(_, bundle) {
    const folders = new Set()
    for (const chunk of Object.values(bundle)) {
      for (const id of chunk.moduleIds ?? []) {
        const folder = packageOf(id) ?? Object.entries(tools).flatMap(([tool, is]) => is.test(id) ? [join(dirname(import.meta.dirname), 'node_modules', tool)] : [])[0]
        if (folder) folders.add(folder)
      }
    }
    const packages = [...folders].map(describe).sort((a, b) => a.name < b.name ? -1 : 1)
    if (packages.length === 0) this.error('the bundle has no packages: the bundler says so otherwise than it did')
    this.emitFile({ type: 'asset', fileName: 'licences.json', source: JSON.stringify(packages) })
  },
})
