import { Note, TextArea } from '.'

export const pgpHint = 'As gpg --armor --export KEY prints it, or the binary form in base64.'

/** The body's list of public keys for `count` shares, or undefined where they are not to be encrypted. */
export const pgpBody = (on: boolean, count: number, keys: string[]) => on ? Array.from({ length: count }, (_, i) => (keys[i] ?? '').trim()) : undefined

/** Public keys of those who get shares, one each, in the order of the shares. */
export function PgpKeys({ count, value, onChange }: { count: number; value: string[]; onChange: (keys: string[]) => void }) {
  return (
    <div className="stack" role="group" aria-label="Public keys">
      {Array.from({ length: Math.min(count, 255) }, (_, i) => (
        <TextArea key={i} label={`Public key of owner ${i + 1}`} hint={i === 0 ? pgpHint : undefined} code rows={2} required value={value[i] ?? ''}
          onChange={(v) => onChange(Array.from({ length: Math.max(count, value.length) }, (_, j) => j === i ? v : value[j] ?? ''))} />
      ))}
      <Note>Each share can be read by its owner alone, not even by whoever does this. Make sure that every owner still has the private key.</Note>
    </div>
  )
}

/** How the owner of a PGP key gets at what was encrypted for it. */
export const decryptWith = 'base64 -d | gpg -d'
