import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { remove, write } from '../../api/client'
import { isForbidden, isMissing } from '../../api/errors'
import type { PkiCertificateInfo } from '../../api/generated'
import { allows, capabilities, useMay } from '../../api/queries'
import { requestSchema, type Schema } from '../../api/schema'
import { Button, Confirm, CopyButton, Empty, Note, PageHead, save, TextField, toast } from '../../kit'
import { ActForm, Card, Facts, Loaded, Snippet } from '../../kit/parts'
import { current, initial, SchemaForm, toBody, words, type Values } from '../../kit/SchemaForm'
import { When } from '../../kit/When'
import { Back, joined, To } from './links'
import { role } from './pki'

/** The fields that matter, and the others behind a fold. */
export function Fold({ schema, values, onChange, first, skip }: { schema: Schema; values: Values; onChange: (v: Values) => void; first: string[]; skip: string[] }) {
  const rest = current(schema).filter((f) => !skip.includes(f) && !first.includes(f))
  return (
    <>
      <div className="form-grid"><SchemaForm schema={schema} values={values} onChange={onChange} only={first} /></div>
      {rest.length > 0 && <details className="fold"><summary>{rest.length} more settings</summary><div className="form-grid"><SchemaForm schema={schema} values={values} onChange={onChange} only={rest} /></div></details>}
    </>
  )
}

/** A role: certificates by it, and what it allows; without a name a new one. */
export function Role({ mount, name }: { mount: string; name: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const [ask, setAsk] = useState(false)
  const { data: caps } = useQuery({ ...capabilities([`${mount}roles/${name || 'new'}`]), select: (c) => Object.values(c)[0] })
  const may = allows(caps, name ? 'update' : 'create')
  const described = useQuery({ ...requestSchema(`/${mount}roles/{name}`), enabled: may })
  const found = useQuery({ ...role(mount, name), enabled: !!name })
  if (isMissing(found.error)) return <Empty icon="people" title="There is no such role"><p>It may have been deleted.</p></Empty>
  return (
    <div>
      <PageHead above={<Back mount={mount} />} title={name || 'Create a role'} about={name ? 'Role' : 'For which names certificates may be issued, and for how long.'}>
        {name && allows(caps, 'delete') && <Button icon="trash" onPress={() => setAsk(true)}>Delete</Button>}
      </PageHead>
      <div className="stack">
        {name && <Issue mount={mount} name={name} />}
        {caps && !may ? <>
          <Note>Your token may {name ? 'read this role, not change it' : 'not create a role'}.</Note>
          {name && <Loaded of={found}>{(had) => <div className="card pad"><Facts of={Object.entries(had).filter(([, v]) => v !== null && v !== '' && !(Array.isArray(v) && v.length === 0)).map(([n, v]) => [words(n), Array.isArray(v) ? v.join(', ') : String(v)])} /></div>}</Loaded>}
        </> : <Loaded of={described}>{(schema) => name ? <Loaded of={found}>{(had) => <Form mount={mount} name={name} schema={schema} had={had} />}</Loaded> : <Form mount={mount} name="" schema={schema} had={{}} />}</Loaded>}
      </div>
      {ask && <Confirm title={`Delete ${name}?`} action="Delete" typed={name} onClose={() => setAsk(false)} run={async () => {
        await remove(`${mount}roles/${name}`)
        await client.invalidateQueries({ queryKey: ['pki', mount], refetchType: 'none' })
        void navigate({ to: '/secrets/$mount/list/$', params: { mount, _splat: '' }, ignoreBlocker: true })
      }}>Certificates that were issued by it stay valid until they end or are revoked.</Confirm>}
    </div>
  )
}

function Form({ mount, name, schema, had }: { mount: string; name: string; schema: Schema; had: Record<string, unknown> }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const [typed, setTyped] = useState<Values>()
  const [called, setCalled] = useState('')
  const to = name || called.trim()
  const may = useMay(`${mount}roles/${to || 'new'}`, name ? 'update' : 'create')
  const values = typed ?? initial(schema, had)
  return (
    <div className="card pad">
      <ActForm action={name ? 'Save' : 'Create'} label="role" unsaved={!!typed || !!called} disabled={!may || !to || (!!name && !typed)} onSubmit={async () => {
        const answer = await write(`${mount}roles/${to}`, toBody(schema, values, had))
        answer?.warnings?.forEach((w) => toast(w))
        await client.invalidateQueries({ queryKey: ['pki', mount] })
        toast(`${to} ${name ? 'saved' : 'created'}.`)
        if (name) setTyped(undefined)
        else void navigate({ to: '/secrets/$mount/show/$', params: { mount, _splat: `roles/${to}` }, ignoreBlocker: true })
      }}>
        {!name && <TextField label="Name" value={called} onChange={setCalled} code required autoFocus />}
        <Fold schema={schema} values={values} onChange={setTyped} skip={['name']} first={['allowed_domains', 'allow_subdomains', 'allow_bare_domains', 'allow_ip_sans', 'ttl', 'max_ttl', 'key_type', 'key_bits']} />
      </ActForm>
    </div>
  )
}

// What is asked of whoever may not read the server's own description of the rest.
const least: Schema = { properties: { common_name: { type: 'string' }, alt_names: { type: 'array', items: { type: 'string' } }, ip_sans: { type: 'array', items: { type: 'string' } }, ttl: { type: 'string', format: 'duration' } } }

/** Makes a certificate and its key, which is in this page's memory alone. */
function Issue({ mount, name }: { mount: string; name: string }) {
  const client = useQueryClient()
  const may = useMay(`${mount}issue/${name}`, 'update')
  const described = useQuery({ ...requestSchema(`/${mount}issue/{role}`), enabled: may })
  const [typed, setTyped] = useState<Values>()
  const [made, setMade] = useState<PkiCertificateInfo>()
  if (!may) return null
  return (
    <Card title="Issue a certificate" about="A key is made on the server and answered once, with a certificate for it.">
      <div className="stack">
        {made && <Made mount={mount} of={made} />}
        <Loaded of={isForbidden(described.error) ? { ...described, data: least, error: null } : described}>{(schema) => {
          const values = typed ?? initial(schema, {})
          return <ActForm action={made ? 'Issue another' : 'Issue'} label="certificate" unsaved={!!typed} onSubmit={async () => {
            const answer = await write<PkiCertificateInfo>(`${mount}issue/${name}`, toBody(schema, values))
            answer.warnings?.forEach((w) => toast(w))
            setMade(answer.data)
            setTyped(undefined)
            await client.invalidateQueries({ queryKey: ['pki', mount, 'certs'] })
          }}><Fold schema={schema} values={values} onChange={setTyped} skip={['role', 'format', 'private_key_format']} first={['common_name', 'alt_names', 'ip_sans', 'ttl']} /></ActForm>
        }}</Loaded>
      </div>
    </Card>
  )
}

function Made({ mount, of }: { mount: string; of: PkiCertificateInfo }) {
  const [revealed, reveal] = useState(false)
  const chain = of.ca_chain ?? (of.issuing_ca ? [of.issuing_ca] : [])
  return (
    <div role="status" className="stack">
      <Note kind="warn">The private key is shown here only, and kept nowhere: copy or download it before you leave.</Note>
      <Facts of={[['Serial number', <To mount={mount} at={`certs/${of.serial_number}`}><code className="break">{of.serial_number}</code></To>], ['Ends', <When at={of.expiration * 1000} />],
        ['Private key', of.private_key && <span className="row">{!revealed && <code>{'•'.repeat(16)}</code>}
          <Button look="quiet" small icon={revealed ? 'eyeOff' : 'eye'} aria-label={revealed ? 'Hide the private key' : 'Reveal the private key'} onPress={() => reveal(!revealed)} />
          <CopyButton text={of.private_key} what="private key" secret /><Button small onPress={() => save('private-key.pem', of.private_key!, 'application/x-pem-file')}>Download</Button></span>]]} />
      {revealed && <div className="code-box"><h3>Private key</h3><pre tabIndex={0} aria-label="Private key">{of.private_key}</pre></div>}
      <Snippet title="Certificate" text={of.certificate} />
      {chain.length > 0 && <Snippet title="Chain" text={joined(chain)} />}
    </div>
  )
}
