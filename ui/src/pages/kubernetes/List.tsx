import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Mount } from '../../api/queries'
import { Badge, Table } from '../../kit'
import { When } from '../../kit/When'
import type { Consumer } from './consumers'
import { linkOf } from './link'

const out = new Set(['ServerSealed', 'ServerUnreachable', 'DryRun'])

/** How a resource is, by the operator's word for it. */
const State = ({ of }: { of: string }) => <Badge kind={of === 'Valid' ? 'good' : out.has(of) ? 'warn' : 'bad'}>{of}</Badge>

/** Resources of Kubernetes; `mounts` are the secrets engines here. Without, their paths are left out: all use the same. */
export function List({ label, rows, mounts, empty }: { label: string; rows: Consumer[]; mounts?: Record<string, Mount>; empty?: ReactNode }) {
  const paths = (c: Consumer) => <ul className="stack-s">{c.paths.map((p) => { const link = linkOf(p, mounts); return <li key={p}>{link ? <Link className="break mono" {...link}>{p}</Link> : <code className="break">{p}</code>}</li> })}</ul>
  return (
    <Table label={label} rows={rows} empty={empty} id={(c) => [c.cluster, c.kind, c.namespace, c.name, c.reporter, c.reported].join('\n')} columns={[
      { head: 'Cluster', cell: (c) => <span className="break">{c.cluster}</span> },
      { head: 'Namespace', cell: (c) => <span className="break">{c.namespace}</span> },
      { head: 'Name', cell: (c) => <><span className="break">{c.name}</span><br /><span className="muted small">{c.kind}{c.kind === 'VaultPushSecret' && ', writes it'}</span></> },
      ...(mounts ? [{ head: 'Path', cell: paths }] : []),
      { head: 'State', cell: (c) => <State of={c.state} /> },
      { head: 'Version', cell: (c) => c.version || '—' },
      { head: 'In step', cell: (c) => c.synced ? <When at={c.synced} /> : <span className="muted">never</span> },
      { head: 'Reported by', cell: (c) => <span className="break small">{c.reporter}</span> },
    ]} />
  )
}
