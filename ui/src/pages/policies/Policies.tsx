import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useMay } from '../../api/queries'
import { Badge, Empty, Icon, Loading, PageHead, Problem, SearchField, Table } from '../../kit'
import { Tabs } from '../../kit/parts'
import { PasswordList } from './Passwords'
import { names } from './policies'
import { Tester } from './Tester'

/** What tokens may do, by name. */
export default function Policies() {
  const mayPasswords = useMay('sys/policies/password', 'list')
  return (
    <div>
      <PageHead title="Policies" about="A policy lists paths and what may be done there. Tokens carry policies; what none of them allows is refused.">
        <NewPolicy />
      </PageHead>
      <Tabs label="About policies" tabs={[{ id: 'list', label: 'Policies', show: () => <List /> }, { id: 'test', label: 'Test a token', show: () => <Tester /> },
        mayPasswords && { id: 'passwords', label: 'Passwords', show: () => <PasswordList /> }]} />
    </div>
  )
}

function NewPolicy() {
  return useMay('sys/policies/acl/new', 'update') && <Link className="button primary" to="/policies/create" data-create><Icon name="plus" />Create policy</Link>
}

function List() {
  const { data, error, refetch } = useQuery(names)
  const [filter, setFilter] = useState('')
  if (error) return <Problem error={error} retry={() => void refetch()} />
  if (!data) return <Loading />
  const rows = data.filter((n) => n.includes(filter.trim().toLowerCase()))
  return (
    <div className="stack">
      <SearchField label={`Filter ${data.length} policies`} value={filter} onChange={setFilter} />
      <div className="card"><Table label="Policies" rows={rows} id={(n) => n} empty={<Empty icon="shield" title="No policy by that name"><p>No name holds “{filter}”.</p></Empty>} columns={[
        { head: 'Name', cell: (n) => n === 'root' ? <strong>root</strong> : <Link className="break" to="/policies/edit/$name" params={{ name: n }}>{n}</Link> },
        { head: 'Kind', cell: (n) => n === 'root' ? <span className="muted">Everything is allowed. It has no text.</span> : n === 'default' ? <Badge>given to every token</Badge> : null },
      ]} /></div>
    </div>
  )
}
