import { expect, test } from 'vitest'
import { changes, merge, resolve } from './merge'

test('changes by key', () => {
  expect(changes({ a: '1', b: '2', c: { x: 1, y: 2 } }, { a: '1', b: '3', c: { y: 2, x: 1 }, __proto__x: 'd' }).map((c) => [c.key, c.kind]))
    .toEqual([['__proto__x', 'added'], ['b', 'changed']])
  expect(changes({ a: '1' }, {})).toEqual([{ key: 'a', kind: 'removed', from: '1' }])
})

test('two editors', () => {
  const base = { same: '1', mine: '1', theirs: '1', both: '1', alike: '1', gone: '1' }
  const mine = { same: '1', mine: '2', theirs: '1', both: '2', alike: '3', added: 'x' }
  const theirs = { same: '1', mine: '1', theirs: '2', both: '3', alike: '3', gone: '1' }
  const merged = merge(base, mine, theirs)
  expect(Object.fromEntries(merged.map((m) => [m.key, m.side]))).toEqual({ mine: 'mine', theirs: 'theirs', both: undefined, alike: 'mine', gone: 'mine', added: 'mine' })
  const decided = merged.map((m) => ({ ...m, side: m.side ?? ('mine' as const) }))
  expect(resolve(theirs, decided)).toEqual({ same: '1', mine: '2', theirs: '2', both: '2', alike: '3', added: 'x' })
})

test('one deletes what the other changes', () => {
  const merged = merge({ k: '1' }, {}, { k: '2' })
  expect(merged[0]!.side).toBeUndefined()
  expect(resolve({ k: '2' }, [{ ...merged[0]!, side: 'mine' }])).toEqual({})
})
