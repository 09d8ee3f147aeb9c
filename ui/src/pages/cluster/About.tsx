import { queryOptions, useQuery } from '@tanstack/react-query'
import { read } from '../../api/client'
import type { NamedSysInstalledVersion } from '../../api/generated'
import { sealStatus, useMay } from '../../api/queries'
import { Badge, Table } from '../../kit'
import { Card, Facts, Loaded } from '../../kit/parts'
import { When } from '../../kit/When'

interface Part { name: string; version: string; licence: string; page: boolean }

// A file of the UI, not of the API: made of what the bundler and the linker put into this program.
const parts = queryOptions({
  queryKey: ['licences'], staleTime: Infinity,
  queryFn: async ({ signal }) => {
    const answer = await fetch('/ui/licences.json', { signal })
    if (!answer.ok) throw new Error('The list of parts is missing: build the UI again, with make ui.')
    return await answer.json() as Part[]
  },
})

/** Which version serves, which did before, and under which licences the parts of this page are. */
export function About() {
  const { data: status } = useQuery(sealStatus)
  const may = useMay('sys/version-history', 'list', 'sudo')
  const { data: history } = useQuery({ queryKey: ['version-history'], enabled: may, queryFn: async () => (await read<NamedSysInstalledVersion>('sys/version-history', { query: { list: true } })).data })
  const found = useQuery(parts)
  return (
    <div className="stack">
      <Card title="Version"><Facts of={[['Strongroom', status?.version], ['Cluster', status?.cluster_name]]} /></Card>
      {history && <Card title="Versions that have served" flush><Table label="Versions" rows={[...history.keys].reverse()} id={(k) => k} columns={[
        { head: 'Version', cell: (k) => k }, { head: 'Since', cell: (k) => <When at={history.key_info[k]!.timestamp_installed} /> }, { head: 'After', cell: (k) => history.key_info[k]!.previous_version ?? '—' },
      ]} /></Card>}
      <Loaded of={found}>{(all) => <>
        <Parts title="Parts of this page" of={all.filter((p) => p.page)} />
        <Parts title="Parts of the server" of={all.filter((p) => !p.page)} />
      </>}</Loaded>
    </div>
  )
}

function Parts({ title, of }: { title: string; of: Part[] }) {
  return (
    <Card title={title} flush>
      <details className="card-body fold"><summary>{of.length} parts, under {[...new Set(of.map((p) => p.licence || 'an unknown licence'))].sort().join(', ')}</summary>
        <Table label={title} rows={of} id={(p) => p.name + p.version} columns={[{ head: 'Part', cell: (p) => <span className="break">{p.name}</span> }, { head: 'Version', cell: (p) => <span className="break">{p.version}</span> }, { head: 'Licence', cell: (p) => p.licence || <Badge kind="warn">unknown</Badge> }]} />
      </details>
    </Card>
  )
}
