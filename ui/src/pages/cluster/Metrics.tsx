import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { request } from '../../api/client'
import type { MetricsReport, MetricsTotal } from '../../api/generated'
import { Loading, Problem, Table } from '../../kit'
import { Card } from '../../kit/parts'

const ms = (n: number | undefined) => n === undefined ? '—' : n < 10 ? n.toFixed(1) : Math.round(n).toLocaleString('en')

/** How much this node does, and how fast. */
export function Metrics() {
  const { data, error, refetch } = useQuery({ queryKey: ['metrics'], refetchInterval: 10_000, queryFn: ({ signal }) => request<MetricsReport>('GET', 'sys/metrics', { signal }) })
  if (error) return <Problem error={error} retry={() => void refetch()} />
  if (!data) return <Loading />
  const gauge = (name: string) => data.Gauges.find((g) => g.Name === 'vault.' + name)?.Value
  const sample = (name: string) => data.Samples.find((s) => s.Name === 'vault.' + name)
  const requests = sample('core.handle_request'), logins = sample('core.handle_login_request'), commit = sample('raft.commitTime')
  return (
    <div className="stack">
      <dl className="figures">
        <Figure name="Requests">{(requests?.Count ?? 0).toLocaleString('en')}</Figure>
        <Figure name="Answered, on average">{ms(requests?.Mean)} <small>ms</small></Figure>
        <Figure name="Under way">{gauge('core.in_flight_requests') ?? 0}</Figure>
        <Figure name="Logins">{(logins?.Count ?? 0).toLocaleString('en')}</Figure>
        <Figure name="Leases">{gauge('expire.num_leases')?.toLocaleString('en') ?? '—'}</Figure>
        <Figure name="Tokens">{gauge('token.count')?.toLocaleString('en') ?? '—'}</Figure>
        <Figure name="Committed, on average">{ms(commit?.Mean)} <small>ms</small></Figure>
        <Figure name="Slowest request">{ms(requests?.Max)} <small>ms</small></Figure>
      </dl>
      <Card title="Requests by mount" flush>
        <Table label="Requests by mount" rows={byMount(data.Samples)} id={(r) => r.mount} columns={[
          { head: 'Mount', cell: (r) => <code>{r.mount}</code> },
          { head: 'Requests', cell: (r) => r.count.toLocaleString('en') },
          { head: 'On average', cell: (r) => `${ms(r.mean)} ms` },
          { head: 'Slowest', cell: (r) => `${ms(r.max)} ms` },
        ]} />
      </Card>
      <Card title="Leases by mount" flush>
        <Table label="Leases by mount" rows={leases(data)} id={(r) => r.namespace + ' ' + r.mount} empty={<p className="card-body muted">None, as the active node counted them last; a standby does not count them.</p>} columns={[
          { head: 'Mount', cell: (r) => <code>{r.mount}</code> },
          { head: 'Namespace', cell: (r) => r.namespace },
          { head: 'Leases and tokens', cell: (r) => r.count.toLocaleString('en') },
        ]} />
      </Card>
      <Card title="Tokens given" flush>
        <Table label="Tokens given" rows={data.Counters.filter((c) => c.Name === 'vault.token.creation')} id={(c) => JSON.stringify(c.Labels)} empty={<p className="card-body muted">None in this time.</p>} columns={[
          { head: 'Auth method', cell: (c) => <code>{c.Labels?.mount_point}</code> },
          { head: 'Living', cell: (c) => c.Labels?.creation_ttl },
          { head: 'Tokens', cell: (c) => c.Count.toLocaleString('en') },
        ]} />
      </Card>
      <p className="small muted">Of this node, as counted until {data.Timestamp}. Prometheus gets more at <code>/v1/sys/metrics?format=prometheus</code>.</p>
    </div>
  )
}

const Figure = ({ name, children }: { name: string; children: ReactNode }) => <div className="figure"><dt>{name}</dt><dd>{children}</dd></div>

/** What lives of what each mount has lent, the most first. */
const leases = (of: MetricsReport) => of.Gauges.filter((g) => g.Name === 'vault.expire.leases.by_mount')
  .map((g) => ({ namespace: g.Labels?.namespace ?? '', mount: g.Labels?.mount_point ?? '', count: g.Value })).sort((a, b) => b.count - a.count)

/** vault.route.read.secret- and its kin, together for each mount. */
function byMount(samples: MetricsTotal[]) {
  const sums = new Map<string, { count: number; sum: number; max: number }>()
  for (const s of samples) {
    const [, mount] = /^vault\.route\.[a-z]+\.(.+)-$/.exec(s.Name) ?? []
    if (!mount) continue
    const had = sums.get(mount) ?? { count: 0, sum: 0, max: 0 }
    sums.set(mount, { count: had.count + s.Count, sum: had.sum + s.Mean * s.Count, max: Math.max(had.max, s.Max) })
  }
  return [...sums].map(([mount, s]) => ({ mount: mount + '/', count: s.count, mean: s.count ? s.sum / s.count : 0, max: s.max })).sort((a, b) => b.count - a.count)
}
