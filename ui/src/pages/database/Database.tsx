import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { isForbidden } from '../../api/errors'
import { useMay } from '../../api/queries'
import { Empty, Icon, Loading, PageHead, Problem, Table } from '../../kit'
import { Card, Trail } from '../../kit/parts'
import { kinds, names, type Kind } from './database'
import { Item } from './Item'

/** A database engine: what it keeps, or the one that the address names: "roles/reader", or "roles" for a new one. */
export default function Database({ mount }: { mount: string }) {
  const { _splat: at = '' } = useParams({ strict: false }) as { _splat?: string }
  const [id, ...rest] = at.split('/')
  const kind = kinds.find((k) => k.id === id)
  const name = rest.join('/')
  if (kind) return <Item key={at} mount={mount} kind={kind} name={name} />
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Secrets', link: { to: '/secrets' } }]} />} title={mount} about="Users of databases: made for each who asks, or kept with passwords that change." />
      <div className="stack">{kinds.map((k) => <Listed key={k.id} mount={mount} kind={k} />)}</div>
    </div>
  )
}

function Listed({ mount, kind }: { mount: string; kind: Kind }) {
  const { data, error, refetch } = useQuery(names(mount, kind))
  const mayCreate = useMay(`${mount}${kind.id}/new`, 'create')
  return (
    <Card title={kind.many} flush actions={mayCreate && <Link className="button small" to="/secrets/$mount/show/$" params={{ mount, _splat: kind.id }}><Icon name="plus" />Create {kind.one}</Link>}>
      {isForbidden(error) ? <div className="card-body"><Empty icon="lock" title={`You may not list the ${kind.many.toLowerCase()}`}><p>Your policy may still let you use those whose name you know.</p></Empty></div>
        : error ? <div className="card-body"><Problem error={error} retry={() => void refetch()} /></div> : !data ? <Loading />
          : <Table label={kind.many} rows={data} id={(n) => n} empty={<Empty icon="server" title={`No ${kind.many.toLowerCase()} yet`}><p>{kind.about}</p></Empty>} columns={[
            { head: 'Name', cell: (n) => <Link className="break" to="/secrets/$mount/show/$" params={{ mount, _splat: `${kind.id}/${n}` }}>{n}</Link> },
          ]} />}
    </Card>
  )
}
