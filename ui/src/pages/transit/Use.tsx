import { useState } from 'react'
import { write } from '../../api/client'
import type { TransitResult } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, Check, CopyButton, Note, Select, TextArea, TextField } from '../../kit'
import { ActForm, Tabs } from '../../kit/parts'
import { fromBase64, toBase64, type Key } from './transit'

type What = 'encrypt' | 'decrypt' | 'rewrap' | 'datakey' | 'sign' | 'verify' | 'hmac'

/** What a key of its type can do. */
export const uses = (k: Key): What[] => [
  ...(k.supports_encryption ? ['encrypt' as const] : []), ...(k.supports_decryption ? ['decrypt' as const, 'rewrap' as const, 'datakey' as const] : []),
  ...(k.supports_signing ? ['sign' as const] : []), 'hmac', 'verify',
]

// What each takes: `input` is the label of its text, `field` the name that the API has for it; `coded`: it travels as base64.
const tools: Record<What, { action: string; about: string; input?: string; field?: string; coded?: boolean }> = {
  encrypt: { action: 'Encrypt', about: 'With the latest version of the key.', input: 'Text', field: 'plaintext', coded: true },
  decrypt: { action: 'Decrypt', about: 'What any version of the key encrypted.', input: 'Ciphertext', field: 'ciphertext' },
  rewrap: { action: 'Rewrap', about: 'Encrypts it again with the latest version of the key, and shows nobody what is in it.', input: 'Ciphertext', field: 'ciphertext' },
  datakey: { action: 'Data key', about: 'Makes a new key for a program, and encrypts it with this one: the program keeps the ciphertext beside its data.' },
  sign: { action: 'Sign', about: 'With the latest version of the key.', input: 'Text', field: 'input', coded: true },
  hmac: { action: 'HMAC', about: 'A keyed hash: who has the key can tell whether the text was changed.', input: 'Text', field: 'input', coded: true },
  verify: { action: 'Verify', about: 'Whether a signature or an HMAC is of this text and key.', input: 'Text', field: 'input', coded: true },
}

/** Does with a key what programs do with it. */
export function Use({ mount, of }: { mount: string; of: Key }) {
  return <div className="card pad"><Tabs label="What to do" tabs={uses(of).map((what) => ({ id: what, label: tools[what].action, show: () => <Tool what={what} mount={mount} of={of} /> }))} /></div>
}

function Tool({ what, mount, of }: { what: What; mount: string; of: Key }) {
  const tool = tools[what]
  const [input, setInput] = useState('')
  const [coded, setCoded] = useState(false)
  const [context, setContext] = useState('')
  const [proof, setProof] = useState('')
  const [bits, setBits] = useState('256')
  const [open, setOpen] = useState(false)
  const [answer, setAnswer] = useState<TransitResult>()
  const path = what === 'datakey' ? `${mount}datakey/${open ? 'plaintext' : 'wrapped'}/${of.name}` : `${mount}${what}/${of.name}`
  const may = useMay(path, 'update')
  const derived = of.derived && what !== 'hmac'
  const run = async () => {
    setAnswer(undefined)
    const { data } = await write<TransitResult>(path, {
      ...(derived && { context: toBase64(context) }),
      ...(tool.field && { [tool.field]: tool.coded && !coded ? toBase64(input) : input.trim() }),
      // Signatures and HMACs look alike; a key that signs has both, and 32 bytes in base64 are an HMAC's.
      ...(what === 'verify' && (isHmac(proof, of) ? { hmac: proof.trim() } : { signature: proof.trim() })),
      ...(what === 'datakey' && { bits: Number(bits) }),
    })
    setAnswer(data)
  }
  return (
    <div className="stack">
      <ActForm action={what === 'datakey' ? 'Make a data key' : tool.action} label={tool.action} disabled={!may || !!tool.input && !input || what === 'verify' && !proof.trim()} onSubmit={run}>
        <p className="muted">{tool.about}</p>
        {tool.input && <TextArea label={tool.input} value={input} onChange={setInput} rows={4} code />}
        {what === 'verify' && <TextArea label={of.supports_signing ? 'Signature or HMAC' : 'HMAC'} value={proof} onChange={setProof} rows={2} code />}
        {derived && <TextField label="Context" value={context} onChange={setContext} code required />}
        {what === 'datakey' && <>
          <Select label="Size" value={bits} onChange={setBits} options={['128', '256', '512'].map((b) => ({ value: b, label: `${b} bits` }))} />
          <Check checked={open} onChange={setOpen}>Show the key too, not its ciphertext only</Check>
        </>}
        {(tool.coded || what === 'decrypt') && <Check checked={coded} onChange={setCoded}>{what === 'decrypt' ? 'Show the answer as base64' : 'What I typed is base64 already'}</Check>}
        {!may && <Note>Your token may not {what === 'datakey' ? 'make data keys' : what} with this key.</Note>}
      </ActForm>
      {answer && <div className="stack" role="status">
        {answer.valid !== undefined && <Note kind={answer.valid ? 'good' : 'bad'}>{answer.valid ? 'It is good: made of this text with this key.' : 'It is not of this text and key.'}</Note>}
        {answer.ciphertext && <Result name="Ciphertext" text={answer.ciphertext} />}
        {answer.plaintext !== undefined && <Result key={answer.plaintext} secret name={what === 'datakey' ? 'Key, in base64' : 'Plaintext'} text={coded || what === 'datakey' ? answer.plaintext : fromBase64(answer.plaintext) ?? answer.plaintext} />}
        {answer.signature && <Result name="Signature" text={answer.signature} />}
        {answer.hmac && <Result name="HMAC" text={answer.hmac} />}
      </div>}
    </div>
  )
}

const isHmac = (proof: string, of: Key) => !of.supports_signing || /^vault:v\d+:[A-Za-z0-9+/]{43}=$/.test(proof.trim())

function Result({ name, text, secret }: { name: string; text: string; secret?: boolean }) {
  const [shown, show] = useState(!secret)
  const what = name.toLowerCase()
  return (
    <div className="stack-s">
      <span className="label">{name}</span>
      <div className="row"><code className="break">{shown ? text : '•'.repeat(16)}</code>
        {secret && <Button look="quiet" small icon={shown ? 'eyeOff' : 'eye'} aria-label={`${shown ? 'Hide' : 'Reveal'} the ${what}`} onPress={() => show(!shown)} />}
        <CopyButton text={text} what={what} secret={secret} /></div>
    </div>
  )
}
