import { lazy, Suspense, useState } from 'react'
import { Button, Loading, Note, Segments } from '../../kit'
import type { Data } from './kv'

const Editor = lazy(() => import('../../kit/Editor'))

export interface Row { id: number; key: string; value: string }
/** What is being typed: rows while everything in it is text, and JSON. */
export interface Draft { mode: 'rows' | 'json'; rows: Row[]; json: string }

let ids = 0
export const newRow = (key = '', value = ''): Row => ({ id: ++ids, key, value })
const isText = (data: Data) => Object.values(data).every((v) => typeof v === 'string')
const toRows = (data: Data) => Object.entries(data).map(([k, v]) => newRow(k, v as string))

export function draftOf(data: Data): Draft {
  const flat = isText(data)
  return { mode: flat ? 'rows' : 'json', rows: flat ? [...toRows(data), ...(Object.keys(data).length ? [] : [newRow()])] : [], json: JSON.stringify(data, null, 2) }
}

/** The data that a draft stands for, or what is wrong with it. */
export function dataOf(draft: Draft): { data?: Data; problem?: string } {
  if (draft.mode === 'json') {
    try {
      const value: unknown = JSON.parse(draft.json)
      if (value === null || typeof value !== 'object' || Array.isArray(value)) return { problem: 'A secret is a JSON object: { "key": "value" }.' }
      return { data: value as Data }
    } catch (e) {
      return { problem: `This is not JSON yet: ${(e as Error).message}` }
    }
  }
  const used = draft.rows.filter((r) => r.key !== '' || r.value !== '')
  const unnamed = used.find((r) => r.key === '')
  if (unnamed) return { problem: 'A value has no key: name it, or remove the row.' }
  const twice = used.find((r, i) => used.findIndex((o) => o.key === r.key) !== i)
  if (twice) return { problem: `The key “${twice.key}” is there twice.` }
  return { data: Object.fromEntries(used.map((r) => [r.key, r.value])) }
}

/** Edits a secret's keys and values, as rows or as JSON. */
export function Form({ draft, onChange }: { draft: Draft; onChange: (draft: Draft) => void }) {
  const [shown, show] = useState(false)
  const { data, problem } = dataOf(draft)
  const [stuck, setStuck] = useState('')
  const turn = (mode: Draft['mode']) => {
    if (mode === draft.mode) return
    if (!data) return setStuck(problem ?? '')
    if (mode === 'rows' && !isText(data)) return setStuck('Some values are no plain text (numbers, lists, objects): they can be edited as JSON only.')
    setStuck('')
    onChange({ ...draftOf(data), mode })
  }
  const change = (id: number, part: Partial<Row>) => onChange({ ...draft, rows: draft.rows.map((r) => r.id === id ? { ...r, ...part } : r) })
  return (
    <div className="stack">
      <div className="spread">
        <Segments label="Edit as" value={draft.mode} onChange={turn} options={[{ value: 'rows', label: 'Keys' }, { value: 'json', label: 'JSON' }]} />
        {draft.mode === 'rows' && <Button small look="quiet" icon={shown ? 'eyeOff' : 'eye'} onPress={() => show(!shown)}>{shown ? 'Hide values' : 'Show values'}</Button>}
      </div>
      {stuck && <Note kind="warn">{stuck}</Note>}
      {draft.mode === 'json'
        ? <Suspense fallback={<Loading />}><Editor label="Secret as JSON" value={draft.json} onChange={(json) => onChange({ ...draft, json })} /></Suspense>
        : <div className={shown ? 'rows' : 'rows hide'}>
          {draft.rows.map((r, i) => (
            <div className="pair" key={r.id}>
              <input className="input code" aria-label={`Key ${i + 1}`} placeholder="key" value={r.key} autoComplete="off" spellCheck={false} onChange={(e) => change(r.id, { key: e.target.value })} />
              <textarea className="input code" aria-label={`Value ${i + 1}`} placeholder="value" rows={1} value={r.value} autoComplete="off" spellCheck={false} onChange={(e) => change(r.id, { value: e.target.value })} />
              <Button look="quiet" icon="trash" aria-label={`Remove ${r.key || 'row ' + (i + 1)}`} onPress={() => onChange({ ...draft, rows: draft.rows.filter((o) => o.id !== r.id) })} />
            </div>
          ))}
          <div><Button small icon="plus" onPress={() => onChange({ ...draft, rows: [...draft.rows, newRow()] })}>Add a key</Button></div>
        </div>}
      {draft.mode === 'json' && problem && <p className="problem" role="status">{problem}</p>}
    </div>
  )
}
