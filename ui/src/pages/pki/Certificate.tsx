import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { write } from '../../api/client'
import { isMissing } from '../../api/errors'
import { useMay } from '../../api/queries'
import { Badge, Button, Confirm, Empty, PageHead, save, toast } from '../../kit'
import { Card, Facts, Loaded, Snippet } from '../../kit/parts'
import { When } from '../../kit/When'
import { Back, joined } from './links'
import { certificate, issuer, issuers } from './pki'

/** What signs certificates. */
export function Issuer({ mount, id }: { mount: string; id: string }) {
  const client = useQueryClient()
  const found = useQuery(issuer(mount, id))
  const { data: all } = useQuery(issuers(mount))
  const mayConfigure = useMay(`${mount}config/issuers`, 'update')
  const listed = all?.find((i) => i.id === id)
  if (isMissing(found.error)) return <Empty icon="server" title="There is no such issuer"><p>It may have been deleted.</p></Empty>
  return <Loaded of={found}>{(i) => (
    <div>
      <PageHead above={<Back mount={mount} />} title={i.issuer_name || i.issuer_id} about={<span className="row">Issuer{listed?.is_default && <Badge kind="accent">default</Badge>}{i.revoked && <Badge kind="bad">revoked</Badge>}</span>}>
        {mayConfigure && listed && !listed.is_default && !i.revoked && <Button onPress={() => void write(`${mount}config/issuers`, { default: id }).then(() => client.invalidateQueries({ queryKey: ['pki', mount] })).then(() => toast('It signs by default now.'), (e: Error) => toast(e.message, 'bad'))}>Make default</Button>}
        <Button onPress={() => save(`${i.issuer_name || id}.pem`, joined(i.ca_chain), 'application/x-pem-file')}>Download chain</Button>
      </PageHead>
      <div className="stack">
        <Card title="About this issuer"><Facts of={[['ID', <code className="break">{i.issuer_id}</code>], ['Serial number', listed && <code className="break">{listed.serial_number}</code>], ['Key', i.key_id ? <code className="break">{i.key_id}</code> : 'elsewhere: it signs nothing here'],
          ['Used for', i.usage.split(',').map((u) => u.replaceAll('-', ' ')).join(', ')], ['A certificate that would outlive it', { err: 'is refused', truncate: 'ends with it', permit: 'is made all the same' }[i.leaf_not_after_behavior] ?? i.leaf_not_after_behavior], ['Revoked', i.revoked && i.revocation_time && <When at={i.revocation_time * 1000} />]]} /></Card>
        <Snippet title="Certificate" text={i.certificate} />
        {i.ca_chain.length > 1 && <Snippet title="Chain" text={joined(i.ca_chain)} />}
      </div>
    </div>
  )}</Loaded>
}

/** A certificate that was issued. */
export function Certificate({ mount, serial }: { mount: string; serial: string }) {
  const client = useQueryClient()
  const found = useQuery(certificate(mount, serial))
  const may = useMay(`${mount}revoke`, 'update')
  const [ask, setAsk] = useState(false)
  if (isMissing(found.error)) return <Empty icon="key" title="There is no such certificate"><p>It was not stored, or it has been cleaned up after its end.</p></Empty>
  return <Loaded of={found}>{(c) => (
    <div>
      <PageHead above={<Back mount={mount} />} title={<span className="break">{serial}</span>} about={<span className="row">Certificate{!!c.revocation_time && <Badge kind="bad">revoked</Badge>}</span>}>
        {may && !c.revocation_time && <Button icon="trash" onPress={() => setAsk(true)}>Revoke…</Button>}
      </PageHead>
      <div className="stack">
        {!!c.revocation_time && <Card title="Revoked"><Facts of={[['When', <When at={c.revocation_time * 1000} />]]} /></Card>}
        <Snippet title="Certificate" text={c.certificate} />
      </div>
      {ask && <Confirm title="Revoke this certificate?" action="Revoke" onClose={() => setAsk(false)} run={async () => {
        await write(`${mount}revoke`, { serial_number: serial })
        await client.invalidateQueries({ queryKey: ['pki', mount] })
        toast('Revoked.')
      }}>It stands in the list of revoked certificates from now on, and cannot be taken back. Whoever looks at that list refuses it.</Confirm>}
    </div>
  )}</Loaded>
}
