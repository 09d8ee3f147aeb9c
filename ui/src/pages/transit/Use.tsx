import { useState } from 'react'
import { write } from '../../api/client'
import type { TransitResult } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, Check, CopyButton, Note, Segments, TextArea, TextField } from '../../kit'
import { ActForm } from '../../kit/parts'
import { fromBase64, toBase64, type Key } from './transit'

type What = 'encrypt' | 'decrypt' | 'sign' | 'verify'
/** What a key of its type can do. */
export const uses = (k: Key): What[] => [...(k.supports_encryption ? ['encrypt' as const] : []), ...(k.supports_decryption ? ['decrypt' as const] : []), ...(k.supports_signing ? ['sign' as const, 'verify' as const] : [])]
const words: Record<What, { action: string; input: string }> = {
  encrypt: { action: 'Encrypt', input: 'Text' }, decrypt: { action: 'Decrypt', input: 'Ciphertext' }, sign: { action: 'Sign', input: 'Text' }, verify: { action: 'Verify', input: 'Text' },
}

/** Does with a key what programs do with it. */
export function Use({ mount, of }: { mount: string; of: Key }) {
  const can = uses(of)
  const [what, setWhat] = useState<What>(can[0]!)
  const may = useMay(`${mount}${what}/${of.name}`, 'update')
  return (
    <div className="card pad stack">
      <div><Segments label="What to do" value={what} onChange={setWhat} options={can.map((c) => ({ value: c, label: words[c].action }))} /></div>
      {may ? <Tool key={what} what={what} mount={mount} of={of} /> : <Note>Your token may not {what} with this key.</Note>}
    </div>
  )
}

function Tool({ what, mount, of }: { what: What; mount: string; of: Key }) {
  const [input, setInput] = useState('')
  const [coded, setCoded] = useState(false)
  const [context, setContext] = useState('')
  const [signature, setSignature] = useState('')
  const [answer, setAnswer] = useState<{ text: string; secret?: boolean; good?: boolean }>()
  const [shown, show] = useState(false)
  const run = async () => {
    setAnswer(undefined)
    show(false)
    const body: Record<string, unknown> = of.derived ? { context: toBase64(context) } : {}
    const value = what === 'decrypt' ? input.trim() : coded ? input.trim() : toBase64(input)
    const field = { encrypt: 'plaintext', decrypt: 'ciphertext', sign: 'input', verify: 'input' }[what]
    const { data } = await write<TransitResult>(`${mount}${what}/${of.name}`, { ...body, [field]: value, ...(what === 'verify' && { signature: signature.trim() }) })
    if (what === 'verify') return setAnswer({ text: data.valid ? 'The signature is good.' : 'The signature is not of this text and key.', good: !!data.valid })
    if (what === 'decrypt') return setAnswer({ text: coded ? data.plaintext ?? '' : fromBase64(data.plaintext ?? '') ?? data.plaintext ?? '', secret: true })
    setAnswer({ text: data.ciphertext ?? data.signature ?? '' })
  }
  return <>
    <ActForm action={words[what].action} disabled={!input || (what === 'verify' && !signature.trim())} onSubmit={run}>
      <TextArea label={words[what].input} value={input} onChange={setInput} rows={4} code />
      {what === 'verify' && <TextArea label="Signature" value={signature} onChange={setSignature} rows={2} code />}
      {of.derived && <TextField label="Context" value={context} onChange={setContext} code required />}
      <Check checked={coded} onChange={setCoded}>{what === 'decrypt' ? 'Show the answer as base64' : 'What I typed is base64 already'}</Check>
    </ActForm>
    {answer && (answer.good !== undefined ? <div role="status"><Note kind={answer.good ? 'good' : 'bad'}>{answer.text}</Note></div> : (
      <div className="stack-s" role="status">
        <span className="label">{what === 'sign' ? 'Signature' : what === 'encrypt' ? 'Ciphertext' : 'Plaintext'}</span>
        <div className="row"><code className="break">{answer.secret && !shown ? '•'.repeat(16) : answer.text}</code>
          {answer.secret && <Button look="quiet" small icon={shown ? 'eyeOff' : 'eye'} aria-label={shown ? 'Hide the plaintext' : 'Reveal the plaintext'} onPress={() => show(!shown)} />}
          <CopyButton text={answer.text} what={what === 'decrypt' ? 'plaintext' : 'the answer'} secret={answer.secret} /></div>
      </div>))}
  </>
}
