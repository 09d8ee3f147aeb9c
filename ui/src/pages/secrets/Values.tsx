import { useState } from 'react'
import { Button, CopyButton, Segments } from '../../kit'
import { asText, type Data } from './kv'

/** What a secret holds, masked until asked for. */
export function Values({ data }: { data: Data }) {
  const [json, setJson] = useState(false)
  const [shown, setShown] = useState<ReadonlySet<string>>(new Set())
  const keys = Object.keys(data)
  const all = shown.size === keys.length && keys.length > 0
  const toggle = (key: string) => setShown((s) => { const next = new Set(s); if (!next.delete(key)) next.add(key); return next })
  const text = JSON.stringify(data, null, 2)
  const hidden = JSON.stringify(Object.fromEntries(keys.map((k) => [k, '•••'])), null, 2)
  return (
    <section className="card" aria-label="Data">
      <div className="card-head">
        <Segments label="View" value={json ? 'json' : 'keys'} onChange={(v) => setJson(v === 'json')} options={[{ value: 'keys', label: 'Keys' }, { value: 'json', label: 'JSON' }]} />
        <div className="row">
          <CopyButton text={text} what="all as JSON" secret label="Copy JSON" />
          <Button small icon={all ? 'eyeOff' : 'eye'} onPress={() => setShown(all ? new Set() : new Set(keys))}>{all ? 'Hide all' : 'Reveal all'}</Button>
        </div>
      </div>
      {json ? <div className="snippet json"><pre tabIndex={0} aria-label="The secret as JSON">{all ? text : hidden}</pre></div>
        : keys.length === 0 ? <p className="muted pad-s">This version holds no keys.</p>
          : <dl className="pairs">{keys.map((key) => (
            <div key={key}>
              <dt>{key}</dt>
              <dd>{shown.has(key) ? <pre className="value">{asText(data[key]) || <span className="muted">empty</span>}</pre> : <span className="dots" aria-label="hidden">••••••••••••</span>}</dd>
              <dd className="acts">
                <Button look="quiet" small icon={shown.has(key) ? 'eyeOff' : 'eye'} aria-label={`${shown.has(key) ? 'Hide' : 'Reveal'} ${key}`} onPress={() => toggle(key)} />
                <CopyButton text={asText(data[key])} what={key} secret />
              </dd>
            </div>
          ))}</dl>}
    </section>
  )
}
