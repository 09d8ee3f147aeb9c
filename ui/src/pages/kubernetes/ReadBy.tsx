import { Card } from '../../kit/parts'
import type { Consumers } from './consumers'
import { List } from './List'

/** Which resources in Kubernetes use one secret. */
export function ReadBy({ of, version }: { of: Consumers; version?: number }) {
  const behind = version ? of.resources.filter((c) => c.state === 'Valid' && c.paths.length === 1 && !c.paths[0]!.endsWith('/') && /^\d+$/.test(c.version) && Number(c.version) < version).length : 0
  return (
    <Card title="Read in Kubernetes by" flush>
      <List label="Read in Kubernetes by" rows={of.resources} />
      <p className="card-body muted small">As their operators report it. {behind > 0 && `${behind} ${behind === 1 ? 'has' : 'have'} an older version than the current one, which is ${version}. `}{of.resources.length < of.total && `The first ${of.resources.length} of ${of.total}.`}</p>
    </Card>
  )
}
