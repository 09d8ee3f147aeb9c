import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { isForbidden } from '../../api/errors'
import { useMay } from '../../api/queries'
import { Badge, Empty, Icon, Loading, PageHead, Problem, SearchField, Table } from '../../kit'
import { Card, Facts, Tabs } from '../../kit/parts'
import { Trail } from '../../kit/parts'
import { Config } from './Config'
import { LoginTest } from './LoginTest'
import { itemNames, useMethod, type Items } from './methods'

/** One auth method: its roles, how it is configured, and whether that works. */
export default function Method() {
  const { mount: at = '' } = useParams({ strict: false })
  return <Shown key={at} at={at} />
}

function Shown({ at }: { at: string }) {
  const { mount, kind, loading, error } = useMethod(at)
  const mayConfig = useMay(kind?.config ? `auth/${at}/config` : '', 'read')
  if (loading) return error ? <Problem error={error} /> : <Loading />
  if (!mount || !kind) return <Empty icon="user" title="No method is here"><p>Nothing is enabled at {at}/, or your policies grant nothing in it.</p></Empty>
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Auth methods', link: { to: '/auth' } }]} />} title={`${at}/`} about={<><Badge>{mount.type}</Badge> {mount.description || kind.about}</>} />
      <Tabs label="About this method" tabs={[
        kind.items && { id: 'items', label: kind.items.many[0]!.toUpperCase() + kind.items.many.slice(1), show: () => <List at={at} items={kind.items!} /> },
        mayConfig && { id: 'config', label: 'Configuration', show: () => <Config at={at} /> },
        kind.login && { id: 'test', label: 'Test a login', show: () => <LoginTest at={at} type={mount.type} /> },
        { id: 'about', label: 'About', show: () => <Card title="About this method"><Facts of={[['Type', mount.type], ['Accessor', <code>{mount.accessor}</code>], ['API', <code>/v1/auth/{at}/</code>]]} /></Card> },
      ]} />
    </div>
  )
}

function List({ at, items }: { at: string; items: Items }) {
  const path = `auth/${at}/${items.path}`
  const { data, error, refetch } = useQuery(itemNames(path))
  const [filter, setFilter] = useState('')
  const mayCreate = useMay(`${path}/new`, 'create')
  const create = mayCreate && <Link className="button primary" to="/auth/$mount/create" params={{ mount: at }} data-create><Icon name="plus" />Create {items.one}</Link>
  if (isForbidden(error)) return <div className="card"><Empty icon="lock" title={`You may not list the ${items.many}`}><p>Your policy may still let you open one that you know the name of.</p></Empty></div>
  if (error) return <Problem error={error} retry={() => void refetch()} />
  if (!data) return <Loading />
  const rows = data.filter((n) => n.toLowerCase().includes(filter.trim().toLowerCase()))
  return (
    <div className="stack">
      <div className="spread">{data.length > 8 ? <div className="grow"><SearchField label={`Filter ${data.length} ${items.many}`} value={filter} onChange={setFilter} /></div> : <span />}{data.length > 0 && create}</div>
      <div className="card"><Table label={items.many} rows={rows} id={(n) => n} empty={<Empty icon="user" title={data.length > 0 ? 'Nothing by that name' : `No ${items.many} yet`}>{data.length === 0 && create}</Empty>} columns={[
        { head: 'Name', cell: (n) => <Link className="break" to="/auth/$mount/edit/$name" params={{ mount: at, name: n }}>{n}</Link> },
      ]} /></div>
    </div>
  )
}
