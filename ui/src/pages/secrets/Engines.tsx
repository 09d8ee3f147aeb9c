import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { mounts } from '../../api/queries'
import { Empty, Loading, PageHead, Problem, SearchField, Table } from '../../kit'

export default function Engines() {
  const { data, error, refetch } = useQuery(mounts)
  const [filter, setFilter] = useState('')
  if (error) return <Problem error={error} retry={() => void refetch()} />
  if (!data) return <Loading />
  const rows = Object.entries(data.secret).filter(([path]) => path.includes(filter)).map(([path, m]) => ({ path, ...m }))
  return (
    <div>
      <PageHead title="Secrets" />
      <div className="stack">
        <SearchField label="Filter engines" value={filter} onChange={setFilter} />
        <div className="card"><Table label="Secrets engines" rows={rows} id={(r) => r.path} empty={<Empty icon="key" title="Nothing here" />} columns={[
          { head: 'Path', cell: (r) => r.path }, { head: 'Type', cell: (r) => r.type }, { head: 'Description', cell: (r) => r.description },
        ]} /></div>
      </div>
    </div>
  )
}
