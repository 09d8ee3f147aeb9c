import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { write } from '../../api/client'
import { isForbidden } from '../../api/errors'
import { useMay } from '../../api/queries'
import { Button, Check, Dialog, Empty, Loading, PageHead, Problem, Select, Table, TextField, toast } from '../../kit'
import { ActForm, Trail } from '../../kit/parts'
import { KeyPage } from './KeyPage'
import { keys } from './transit'

/** A transit engine: its keys, or the one that the address names. */
export default function Transit({ mount }: { mount: string }) {
  const { _splat: name = '' } = useParams({ strict: false }) as { _splat?: string }
  return name ? <KeyPage key={name} mount={mount} name={name} /> : <Keys mount={mount} />
}

const types = ['aes256-gcm96', 'aes128-gcm96', 'chacha20-poly1305', 'ed25519', 'ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521', 'rsa-2048', 'rsa-3072', 'rsa-4096', 'hmac']

function Keys({ mount }: { mount: string }) {
  const client = useQueryClient()
  const { data, error, refetch } = useQuery(keys(mount))
  const [creating, create] = useState(false)
  const [name, setName] = useState('')
  const [type, setType] = useState(types[0]!)
  const [derived, setDerived] = useState(false)
  const [exportable, setExportable] = useState(false)
  const mayCreate = useMay(`${mount}keys/new`, 'create')
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Secrets', link: { to: '/secrets' } }]} />} title={mount} about="Encrypts and signs for programs; the keys never leave.">
        {mayCreate && <Button look="primary" icon="plus" onPress={() => create(true)} data-create>Create key</Button>}
      </PageHead>
      {isForbidden(error) ? <div className="card"><Empty icon="lock" title="You may not list the keys"><p>Your policy may still let you use those whose name you know.</p></Empty></div>
        : error ? <Problem error={error} retry={() => void refetch()} /> : !data ? <Loading />
          : <div className="card"><Table label="Keys" rows={data} id={(n) => n} empty={<Empty icon="key" title="No keys yet"><p>A key encrypts, decrypts, signs or verifies what programs send.</p></Empty>} columns={[
            { head: 'Name', cell: (n) => <Link className="break" to="/secrets/$mount/show/$" params={{ mount, _splat: n }}>{n}</Link> },
          ]} /></div>}
      {creating && <Dialog title="Create a key" onClose={() => create(false)}>
        <ActForm action="Create" cancel={() => create(false)} disabled={!name.trim()} onSubmit={async () => {
          await write(`${mount}keys/${name.trim()}`, { type, derived, exportable })
          await client.invalidateQueries({ queryKey: ['transit', mount] })
          toast(`${name.trim()} created.`)
          create(false)
        }}>
          <TextField label="Name" value={name} onChange={setName} code autoFocus required />
          <Select label="Type" value={type} onChange={setType} options={types.map((t) => ({ value: t, label: t }))} hint={/^(aes|cha)/.test(type) ? 'Encrypts.' : type.startsWith('rsa') ? 'Encrypts and signs.' : type === 'hmac' ? 'Makes keyed hashes.' : 'Signs.'} />
          {/^(aes|cha|ed)/.test(type) && <Check checked={derived} onChange={setDerived}>A key of its own for each context</Check>}
          <Check checked={exportable} onChange={setExportable}>The key may be exported<span className="muted small"><br />This cannot be taken back.</span></Check>
        </ActForm>
      </Dialog>}
    </div>
  )
}
