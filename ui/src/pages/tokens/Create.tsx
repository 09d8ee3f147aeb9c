import { useState } from 'react'
import { write, type Auth } from '../../api/client'
import { Badge, Button, Check, CopyButton, Dialog, Note, TextArea, TextField } from '../../kit'
import { ActForm, Facts, seconds } from '../../kit/parts'

/** Makes a token below one's own. */
export function Create() {
  const [values, setValues] = useState({ name: '', policies: '', ttl: '1h', uses: '' })
  const [renewable, setRenewable] = useState(true)
  const [made, setMade] = useState<Auth>()
  const set = (name: keyof typeof values) => (v: string) => setValues({ ...values, [name]: v })
  return (
    <div className="card pad">
      <ActForm action="Create the token" onSubmit={async () => {
        const { auth } = await write('auth/token/create', {
          display_name: values.name || undefined, policies: values.policies.split(/[\s,]+/).filter(Boolean), ttl: values.ttl || undefined, num_uses: Number(values.uses) || undefined, renewable,
        })
        setMade(auth ?? undefined)
      }}>
        <p className="muted">It is a child of your own token: it can have no policies that you have not, and ends when yours does.</p>
        <div className="form-grid">
          <TextField label="Name" hint="For the audit log." value={values.name} onChange={set('name')} />
          <TextArea label="Policies" hint="One a line. Empty: those of your own token." value={values.policies} onChange={set('policies')} rows={2} code />
          <TextField label="Lives" hint="Such as 30m or 24h." value={values.ttl} onChange={set('ttl')} code />
          <TextField label="Uses" hint="Empty: as many as it likes." value={values.uses} onChange={set('uses')} inputMode="numeric" />
        </div>
        <Check checked={renewable} onChange={setRenewable}>Can be renewed</Check>
      </ActForm>
      {made && <Dialog title="The token" onClose={() => setMade(undefined)}>
        <Note kind="warn">This is the only time that it is shown.</Note>
        <div className="row"><span className="mono">{'•'.repeat(20)}</span><CopyButton text={made.client_token} what="token" secret label="Copy" /></div>
        <Facts of={[['Accessor', <code className="break">{made.accessor}</code>], ['Policies', <span className="row">{made.policies.map((p) => <Badge key={p}>{p}</Badge>)}</span>], ['Lives', made.lease_duration ? seconds(made.lease_duration) : 'for ever']]} />
        <div className="buttons"><Button look="primary" onPress={() => setMade(undefined)}>Done</Button></div>
      </Dialog>}
    </div>
  )
}
