import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { mounts, useMay } from '../../api/queries'
import { Badge, Empty, Icon, Loading, PageHead, Problem, SearchField, Table } from '../../kit'
import './secrets.css'

// These belong to the server; they have pages of their own or none.
const own = new Set(['system', 'identity'])

/** The engines in which the reader may do something. */
export default function Engines() {
  const { data, error, refetch } = useQuery(mounts)
  const [filter, setFilter] = useState('')
  const mayEnable = useMay('sys/mounts/new', 'update')
  if (error) return <Problem error={error} retry={() => void refetch()} />
  if (!data) return <Loading />
  const all = Object.entries(data.secret).map(([path, m]) => ({ path, ...m })).filter((m) => !own.has(m.type)).sort((a, b) => a.path < b.path ? -1 : 1)
  const rows = all.filter((r) => `${r.path} ${r.type} ${r.description}`.toLowerCase().includes(filter.toLowerCase()))
  return (
    <div>
      <PageHead title="Secrets" about="The engines that keep secrets, or make them.">
        {mayEnable && <Link className="button primary" to="/secrets/enable" data-create><Icon name="plus" />Enable engine</Link>}
      </PageHead>
      <div className="stack">
        {all.length > 5 && <SearchField label="Filter engines" value={filter} onChange={setFilter} />}
        <div className="card"><Table label="Secrets engines" rows={rows} id={(r) => r.path}
          empty={<Empty icon="key" title={filter ? 'No engine by that name' : 'No engines yet'}><p>{filter ? 'No path, type or description holds it.' : mayEnable ? 'Enable one: key-value (kv) is what most begin with.' : 'Your policies grant nothing in any engine.'}</p></Empty>}
          columns={[
            { head: 'Path', cell: (r) => <Link className="engine-name" to="/secrets/$mount/list/$" params={{ mount: r.path, _splat: '' }}><Icon name={r.type === 'kv' ? 'key' : 'lock'} />{r.path}</Link> },
            { head: 'Type', cell: (r) => <span className="row"><Badge>{r.type}{r.type === 'kv' && ` v${r.options?.version ?? '1'}`}</Badge></span> },
            { head: 'Description', cell: (r) => <span className="muted break">{r.description}</span> },
          ]} /></div>
      </div>
    </div>
  )
}
