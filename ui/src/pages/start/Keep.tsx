import './start.css'
import { useEffect, useState } from 'react'
import { decryptWith } from '../../kit/PgpKeys'
import { Button, Check, CopyButton, Note, save } from '../../kit'

export interface Founded { shares: string[]; rootToken: string; recovery: boolean; threshold: number; encrypted: boolean; rootEncrypted: boolean }

/** Shows what exists nowhere else, until its reader says of each part that it is kept. */
export function Keep({ founded, onKept }: { founded: Founded; onKept: () => void }) {
  const items = [
    ...founded.shares.map((value, i) => ({ name: `${founded.recovery ? 'Recovery' : 'Unseal'} key share ${i + 1}`, file: `${founded.recovery ? 'recovery' : 'unseal'}-share-${i + 1}.txt`, value })),
    { name: 'Initial root token', file: 'root-token.txt', value: founded.rootToken },
  ]
  const [kept, setKept] = useState<boolean[]>(() => items.map(() => false))
  const [shown, show] = useState(-1)
  useEffect(() => { // leaving now loses the keys of everything
    const ask = (e: BeforeUnloadEvent) => e.preventDefault()
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [])
  const left = kept.filter((k) => !k).length
  return (
    <div className="front-card wide stack" role="region" aria-labelledby="keep">
      <div className="stack-s">
        <h1 id="keep">Keep these now</h1>
        <Note kind="warn">This is the only time they are shown, and nobody can make them again. {founded.threshold} of the {founded.shares.length} shares {founded.recovery ? 'together decide in emergencies' : 'unseal the cluster'}: keep them in different places.</Note>
        {founded.encrypted && <Note>The shares are encrypted: send each to its owner, who decrypts it with <code className="nowrap">{decryptWith}</code>.{founded.rootEncrypted ? ' So is the root token: its owner signs in with what that prints.' : ' The root token is not.'}</Note>}
      </div>
      <ul className="keep">
        {items.map((item, i) => (
          <li key={item.name}>
            <div className="spread">
              <span className="label">{item.name}</span>
              <span className="row">
                <Button look="quiet" small icon={shown === i ? 'eyeOff' : 'eye'} aria-label={`${shown === i ? 'Hide' : 'Show'} ${item.name}`} onPress={() => show(shown === i ? -1 : i)} />
                <CopyButton text={item.value} what={item.name} secret />
                <Button look="quiet" small icon="download" aria-label={`Download ${item.name}`} onPress={() => save(item.file, item.value + '\n')} />
              </span>
            </div>
            <code className="keep-value">{shown === i ? item.value : '•'.repeat(24)}</code>
            <Check checked={kept[i]!} onChange={(on) => setKept((k) => k.map((v, j) => j === i ? on : v))}>{item.name} is kept</Check>
          </li>
        ))}
      </ul>
      <p className="small muted">{founded.recovery ? 'The server has unsealed itself: sign in next.' : `Next, ${founded.threshold} of the shares are asked for: that proves they are kept.`} Revoke the root token once other ways to sign in are set up.</p>
      <Button look="primary" wide isDisabled={left > 0} onPress={onKept}>{left > 0 ? `${left} still to keep` : 'All are kept: go on'}</Button>
    </div>
  )
}
