import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { isForbidden } from '../../api/errors'
import { mounts } from '../../api/queries'
import { Empty, Loading, Note, PageHead, Problem, SearchField, Select } from '../../kit'
import { Snippet } from '../../kit/parts'
import { When } from '../../kit/When'
import { consumers, type Consumers } from './consumers'
import { List } from './List'

/** Which resources in Kubernetes use which secrets, and how they are, as far as their operators report it. */
export default function Kubernetes() {
  const [typed, search] = useState('')
  const [state, setState] = useState('')
  const searched = useSettled(typed.trim())
  const { data, error, refetch } = useQuery(consumers(searched, state))
  const { data: have } = useQuery(mounts)
  const filtered = searched !== '' || state !== ''
  return (
    <div>
      <PageHead title="Kubernetes" about="Which resources read which secrets, and how they are, as the operators in your clusters report it." />
      {isForbidden(error) ? <div className="card"><Empty icon="lock" title="You may not see this"><p>Your policy lacks <code>read</code> on <code>sys/kubernetes/consumers</code>.</p></Empty></div>
        : error && !data ? <Problem error={error} retry={() => void refetch()} />
          : !data ? <Loading />
            : !filtered && data.total === 0 ? <TurnOn since={data.since} />
              : <div className="stack">
                <div className="columns end">
                  <SearchField label="Search clusters, names, kinds and paths" value={typed} onChange={search} />
                  <Select label="State" value={state} onChange={setState} options={states(data, state)} />
                </div>
                <Recent since={data.since} />
                <div className="card"><List label="Resources" rows={data.resources} mounts={have?.secret} empty={<Empty icon="search" title="Nothing like that"><p>No resource that was reported has this in its name, kind, cluster or paths.</p></Empty>} /></div>
                <p className="small muted" role="status">{data.resources.length < data.total ? `The first ${data.resources.length.toLocaleString('en')} of ${data.total.toLocaleString('en')}: search for fewer.` : `${data.total.toLocaleString('en')} ${data.total === 1 ? 'resource' : 'resources'}.`}</p>
              </div>}
    </div>
  )
}

/** The value once it has not changed for a moment, so that not every letter is a question. */
function useSettled(value: string) {
  const [settled, settle] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => settle(value), 200)
    return () => clearTimeout(timer)
  }, [value])
  return settled
}

/** The states there are, the bad ones first, with how many are in each. */
function states(data: Consumers, chosen: string) {
  const all = Object.keys(data.states).concat(chosen && !(chosen in data.states) ? [chosen] : [])
  all.sort((a, b) => Number(a === 'Valid') - Number(b === 'Valid') || a.localeCompare(b))
  return [{ value: '', label: 'All' }, ...all.map((s) => ({ value: s, label: `${s} (${(data.states[s] ?? 0).toLocaleString('en')})` }))]
}

const settles = 6 * 60_000 // by then every operator has reported again

/** A new leader knows nothing yet. */
function Recent({ since }: { since: string }) {
  if (Date.now() - Date.parse(since) > settles) return null
  return <Note>The active node took over <When at={since} /> and holds reports in memory only: all that operators report is here again within five minutes.</Note>
}

function TurnOn({ since }: { since: string }) {
  return (
    <div className="stack">
      <Recent since={since} />
      <div className="card">
        <Empty icon="wheel" title="No operator reports to this server">
          <p>The operator tells a server which resources use its secrets only if it is given a name for its cluster. It sends kinds, names, paths, versions and states, never a value.</p>
        </Empty>
        <div className="card-body">
          <Snippet title="Turn it on" text={'helm upgrade vault-secrets-operator ./charts/vault-secrets-operator \\\n  --namespace vault-secrets-operator --reuse-values \\\n  --set controller.manager.reportAs=prod'} />
          <p className="muted small">Without the chart: <code>--report-as=prod</code>. Its logins need no further policy; what a login may not use itself is not taken from it.</p>
        </div>
      </div>
    </div>
  )
}
