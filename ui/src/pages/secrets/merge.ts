import { same, type Data } from './data'

export interface Change { key: string; kind: 'added' | 'removed' | 'changed'; from?: unknown; to?: unknown }

const has = (d: Data, k: string) => Object.hasOwn(d, k)
const keysOf = (...all: Data[]) => [...new Set(all.flatMap((d) => Object.keys(d)))].sort((a, b) => a < b ? -1 : 1)

/** What makes `to` of `from`, by key. */
export function changes(from: Data, to: Data): Change[] {
  return keysOf(from, to).flatMap((key): Change[] => {
    if (!has(from, key)) return [{ key, kind: 'added', to: to[key] }]
    if (!has(to, key)) return [{ key, kind: 'removed', from: from[key] }]
    return same(from[key], to[key]) ? [] : [{ key, kind: 'changed', from: from[key], to: to[key] }]
  })
}

export type Side = 'mine' | 'theirs'
export interface Merged { key: string; base?: unknown; mine?: unknown; theirs?: unknown; inMine: boolean; inTheirs: boolean; inBase: boolean; side?: Side }

/** What two people made of `base`: of each key that anyone changed, whose it is to be. A key that both changed, each their way, has no side yet. */
export function merge(base: Data, mine: Data, theirs: Data): Merged[] {
  return keysOf(base, mine, theirs).flatMap((key): Merged[] => {
    const entry = { key, base: base[key], mine: mine[key], theirs: theirs[key], inMine: has(mine, key), inTheirs: has(theirs, key), inBase: has(base, key) }
    const equal = (a: Data, b: Data) => has(a, key) === has(b, key) && same(a[key], b[key])
    const byMe = !equal(base, mine), byThem = !equal(base, theirs)
    if (!byMe && !byThem) return []
    const side = equal(mine, theirs) || !byThem ? 'mine' : !byMe ? 'theirs' : undefined
    return [{ ...entry, side }]
  })
}

/** `theirs` with the decisions carried out. */
export function resolve(theirs: Data, decided: Merged[]): Data {
  const out: Data = { ...theirs }
  for (const d of decided) {
    if (d.side !== 'mine') continue
    if (d.inMine) out[d.key] = d.mine
    else delete out[d.key]
  }
  return out
}
