import { asText, type Data } from './kv'
import { changes } from './merge'

/** Two states of a secret side by side, by key: only what differs. Values are masked unless `reveal`. */
export function Diff({ from, to, fromName, toName, reveal }: { from: Data; to: Data; fromName: string; toName: string; reveal: boolean }) {
  const rows = changes(from, to)
  const show = (v: unknown) => reveal ? asText(v) || '(empty)' : '••••••••'
  if (rows.length === 0) return <p className="muted">They hold the same.</p>
  return (
    <div className="diff-wrap" tabIndex={0} role="region" aria-label="Differences">
      <table className="diff">
        <thead><tr><th scope="col">Key</th><th scope="col">{fromName}</th><th scope="col">{toName}</th></tr></thead>
        <tbody>{rows.map((r) => (
          <tr key={r.key}>
            <td className="name">{r.key}</td>
            <td className={r.kind === 'added' ? 'none' : 'cut'}>{r.kind === 'added' ? 'not there' : show(r.from)}</td>
            <td className={r.kind === 'removed' ? 'none' : 'add'}>{r.kind === 'removed' ? 'removed' : show(r.to)}</td>
          </tr>
        ))}</tbody>
      </table>
    </div>
  )
}
