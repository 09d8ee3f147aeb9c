import { useState } from 'react'
import { Button, Check, Dialog, Note, Problem } from '../../kit'
import { asText, type Data } from './kv'
import { merge, resolve, type Merged, type Side } from './merge'

/** Someone else saved first: shows what both made of the same version, and takes the decision for each key. */
export function Conflict({ base, mine, theirs, version, save, onClose }: {
  base: Data; mine: Data; theirs: Data; version: number; save: (data: Data) => Promise<unknown>; onClose: () => void
}) {
  const [rows, setRows] = useState<Merged[]>(() => merge(base, mine, theirs))
  const [reveal, setReveal] = useState(false)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const choose = (key: string, side: Side) => setRows((all) => all.map((r) => r.key === key ? { ...r, side } : r))
  const open = rows.filter((r) => !r.side).length
  const text = (there: boolean, v: unknown) => !there ? 'not there' : reveal ? asText(v) || '(empty)' : '••••••••'
  const go = async () => {
    setBusy(true)
    try { await save(resolve(theirs, rows)) } catch (e) { setProblem(e); setBusy(false) }
  }
  return (
    <Dialog title="Someone saved before you" onClose={onClose} wide>
      <Note kind="warn">{version > 0 ? `Version ${version}` : 'Another value'} was written while you were editing. Nothing of yours is lost and nothing of theirs is overwritten: decide for each key, then save.</Note>
      <div className="diff-wrap" tabIndex={0} role="region" aria-label="What both changed">
        <table className="diff">
          <thead><tr><th scope="col">Key</th><th scope="col">When you began</th><th scope="col">Theirs{version > 0 && ` (version ${version})`}</th><th scope="col">Yours</th></tr></thead>
          <tbody>{rows.map((r) => (
            <tr key={r.key}>
              <td className="name">{r.key}</td>
              <td>{text(r.inBase, r.base)}</td>
              {(['theirs', 'mine'] as const).map((side) => (
                <td key={side} className={r.side === side ? 'add' : ''}>
                  <label><input type="radio" name={`side-${r.key}`} aria-label={`${r.key}: keep ${side === 'mine' ? 'yours' : 'theirs'}`} checked={r.side === side} onChange={() => choose(r.key, side)} />
                    <span>{side === 'mine' ? text(r.inMine, r.mine) : text(r.inTheirs, r.theirs)}</span></label>
                </td>
              ))}
            </tr>
          ))}</tbody>
        </table>
      </div>
      <Check checked={reveal} onChange={setReveal}>Show values</Check>
      {problem !== undefined && <Problem error={problem} />}
      <div className="buttons">
        <Button onPress={onClose}>Back to the editor</Button>
        <Button look="primary" isDisabled={open > 0} busy={busy} onPress={go}>{open > 0 ? `${open} to decide` : 'Save the merged secret'}</Button>
      </div>
    </Dialog>
  )
}
