import { useQuery } from '@tanstack/react-query'
import { read } from '../../api/client'
import type { NamedSysInstalledVersion } from '../../api/generated'
import { sealStatus, useMay } from '../../api/queries'
import { Table } from '../../kit'
import { Card, Facts } from '../../kit/parts'
import { When } from '../../kit/When'

// What runs in this page; the server's own modules stand in its source and in its image.
const parts = [
  ['Strongroom', 'MPL-2.0'], ['React', 'MIT'], ['TanStack Router, Query, Virtual', 'MIT'], ['React Aria Components', 'Apache-2.0'], ['CodeMirror, Lezer', 'MIT'],
]

/** Which version serves, which did before, and under which licences the parts of this page are. */
export function About() {
  const { data: status } = useQuery(sealStatus)
  const may = useMay('sys/version-history', 'list', 'sudo')
  const { data: history } = useQuery({ queryKey: ['version-history'], enabled: may, queryFn: async () => (await read<NamedSysInstalledVersion>('sys/version-history', { query: { list: true } })).data })
  return (
    <div className="stack">
      <Card title="Version"><Facts of={[['Strongroom', status?.version], ['Cluster', status?.cluster_name]]} /></Card>
      {history && <Card title="Versions that have served" flush><Table label="Versions" rows={[...history.keys].reverse()} id={(k) => k} columns={[
        { head: 'Version', cell: (k) => k }, { head: 'Since', cell: (k) => <When at={history.key_info[k]!.timestamp_installed} /> }, { head: 'After', cell: (k) => history.key_info[k]!.previous_version ?? '—' },
      ]} /></Card>}
      <Card title="Licences of this page's parts" flush><Table label="Licences" rows={parts} id={(p) => p[0]!} columns={[{ head: 'Part', cell: (p) => p[0] }, { head: 'Licence', cell: (p) => p[1] }]} /></Card>
    </div>
  )
}
