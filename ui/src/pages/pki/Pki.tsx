import { useQuery } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { isForbidden } from '../../api/errors'
import { useMay } from '../../api/queries'
import { Badge, Empty, Icon, Loading, PageHead, Problem, Table, TextField } from '../../kit'
import { ActForm, Card, Trail } from '../../kit/parts'
import { Certificate, Issuer } from './Certificate'
import { To } from './links'
import { issuers, names, shown } from './pki'
import { Role } from './Role'
import { Root } from './Root'

/** A PKI engine: what it keeps, or what the address names: "root" and "roles" for new ones, "issuers/ID", "roles/NAME", "certs/SERIAL". */
export default function Pki({ mount }: { mount: string }) {
  const { _splat: at = '' } = useParams({ strict: false }) as { _splat?: string }
  const [kind, ...rest] = at.split('/')
  const name = rest.join('/')
  if (kind === 'root') return <Root mount={mount} />
  if (kind === 'roles') return <Role key={at} mount={mount} name={name} />
  if (kind === 'issuers' && name) return <Issuer key={at} mount={mount} id={name} />
  if (kind === 'certs' && name) return <Certificate key={at} mount={mount} serial={name} />
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Secrets', link: { to: '/secrets' } }]} />} title={mount} about="A certificate authority: its issuers, what may be issued, and what was." />
      <div className="stack"><Issuers mount={mount} /><Roles mount={mount} /><Certificates mount={mount} /></div>
    </div>
  )
}

function Listed<T>({ title, query: { data, error, refetch }, create, children }: { title: string; query: { data: T | undefined; error: unknown; refetch: () => unknown }; create?: ReactNode; children: (data: T) => ReactNode }) {
  return (
    <Card title={title} flush actions={create}>
      {isForbidden(error) ? <div className="card-body"><Empty icon="lock" title={`You may not list the ${title.toLowerCase()}`}><p>Your policy may still let you use those whose name you know.</p></Empty></div>
        : error ? <div className="card-body"><Problem error={error} retry={() => void refetch()} /></div> : data === undefined ? <Loading /> : children(data)}
    </Card>
  )
}

function Issuers({ mount }: { mount: string }) {
  const may = useMay(`${mount}root/generate/internal`, 'update')
  return (
    <Listed title="Issuers" query={useQuery(issuers(mount))} create={may && <To mount={mount} at="root" button><Icon name="plus" />Create root</To>}>{(data) =>
      <Table label="Issuers" rows={data} id={(i) => i.id} empty={<Empty icon="server" title="No issuers yet"><p>Certificates are signed by an issuer: create a root here, or import one by the command line.</p></Empty>} columns={[
        { head: 'Issuer', cell: (i) => <span className="row"><To mount={mount} at={`issuers/${i.id}`}>{i.issuer_name || i.id}</To>{i.is_default && <Badge kind="accent">default</Badge>}</span> },
        { head: 'Serial number', cell: (i) => <code className="break small">{i.serial_number}</code> },
      ]} />}
    </Listed>
  )
}

function Roles({ mount }: { mount: string }) {
  const may = useMay(`${mount}roles/new`, 'create')
  return (
    <Listed title="Roles" query={useQuery(names(mount, 'roles'))} create={may && <To mount={mount} at="roles" button><Icon name="plus" />Create role</To>}>{(data) =>
      <Table label="Roles" rows={data} id={(n) => n} empty={<Empty icon="people" title="No roles yet"><p>A role says for which names certificates may be issued, and for how long.</p></Empty>} columns={[{ head: 'Name', cell: (n) => <To mount={mount} at={`roles/${n}`}>{n}</To> }]} />}
    </Listed>
  )
}

function Certificates({ mount }: { mount: string }) {
  const navigate = useNavigate()
  const [serial, setSerial] = useState('')
  return (
    <Listed title="Certificates" query={useQuery(names(mount, 'certs'))}>{(data) => <>
      <Table label="Certificates" rows={data.slice(0, shown)} id={(n) => n} empty={<Empty icon="key" title="No certificates yet"><p>Those that roles issue are listed here, unless the role stores none.</p></Empty>} columns={[{ head: 'Serial number', cell: (n) => <To mount={mount} at={`certs/${n}`}><code className="break">{n}</code></To> }]} />
      {data.length > shown && <div className="card-body"><p>The first {shown} of {data.length}. Others are found by their serial number.</p>
        <ActForm action="Look up" disabled={!serial.trim()} onSubmit={async () => void navigate({ to: '/secrets/$mount/show/$', params: { mount, _splat: `certs/${serial.trim()}` } })}><TextField label="Serial number" value={serial} onChange={setSerial} code /></ActForm></div>}
    </>}</Listed>
  )
}
