import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { write } from '../../api/client'
import { haStatus, useMay } from '../../api/queries'
import { requestSchema } from '../../api/schema'
import { Badge, Button, Confirm, Dialog, Loading, Note, Table, toast } from '../../kit'
import { ActForm, Loaded, Snippet } from '../../kit/parts'
import { initial, SchemaForm, toBody, type Values } from '../../kit/SchemaForm'
import { settings } from '../auth/methods'
import { autopilot, members, nodes, type Node } from './cluster'

const looks = { active: ['accent', 'leader'], standby: ['good', 'standby'], sealed: ['warn', 'sealed'], unreachable: ['bad', 'unreachable'] } as const

/** The members of the cluster, as its leader sees them. */
export function Nodes() {
  const client = useQueryClient()
  const found = useQuery(members)
  const { data: pilot } = useQuery(autopilot)
  const { data: ha = [] } = useQuery(haStatus)
  const [ask, setAsk] = useState<Node | 'step-down' | 'join' | 'autopilot'>()
  const mayRemove = useMay('sys/storage/raft/remove-peer', 'update')
  const mayStep = useMay('sys/step-down', 'update', 'sudo')
  const mayTune = useMay('sys/storage/raft/autopilot/configuration', 'update')
  const all = found.data ?? []
  const rows = nodes(all, pilot, ha)
  const sealed = rows.filter((n) => n.state === 'sealed').length
  const changed = () => client.invalidateQueries({ queryKey: ['cluster'] })
  const close = () => setAsk(undefined)
  return (
    <Loaded of={found}>{() => <div className="stack">
      {pilot && (sealed > 0 && pilot.healthy ? <Note kind="warn">All members keep up, but {sealed} of {rows.length} cannot serve or take over: sealed nodes count for votes only.</Note> : pilot.healthy ? <Note kind="good">All members are healthy. {pilot.failure_tolerance === 0 ? 'None may be lost.' : `${pilot.failure_tolerance} of them may be lost, and the cluster still serves.`}</Note>
        : <Note kind="warn">Not all members are healthy. {pilot.failure_tolerance === 0 ? 'If one more is lost, the cluster stops serving.' : `${pilot.failure_tolerance} more may be lost.`}</Note>)}
      {all.length === 1 && <Note>This is a cluster of one: when it stops, nobody gets a secret. Three nodes survive the loss of one.</Note>}
      <div className="card">
        <div className="card-head"><h2>Nodes</h2><div className="row">
          {mayTune && pilot && <Button small onPress={() => setAsk('autopilot')}>Autopilot…</Button>}
          {mayStep && all.length > 1 && <Button small onPress={() => setAsk('step-down')}>Step down…</Button>}
          <Button small icon="plus" onPress={() => setAsk('join')}>Add a node…</Button>
        </div></div>
        <Table label="Nodes" rows={rows} id={(n) => n.node_id} columns={[
          { head: 'Node', cell: (n) => <span className="break">{n.node_id}{n.api && <><br /><a className="small" href={`${n.api.api_address}/ui/`} rel="noreferrer">{n.api.api_address}</a></>}</span> },
          { head: 'State', cell: (n) => <span className="row"><Badge kind={looks[n.state][0]}>{looks[n.state][1]}</Badge>{!n.voter && <Badge>no vote</Badge>}{n.health && !n.health.healthy && <Badge kind="bad">unhealthy</Badge>}</span> },
          { head: 'Raft index', cell: (n) => n.health ? <span className="mono">{n.health.last_index.toLocaleString('en')}</span> : '—' },
          { head: 'Behind', cell: (n) => n.lag === undefined ? '—' : n.lag === 0 ? <span className="muted">nothing</span> : <span className={n.lag > 1000 ? 'problem' : ''}>{n.lag.toLocaleString('en')} entries</span> },
          { head: 'Last heard', cell: (n) => n.leader ? <span className="muted">leads</span> : n.health ? contact(n.health.last_contact) : '—' },
          { head: 'Version', cell: (n) => n.health?.version ?? n.api?.version ?? '—' },
          { head: 'Actions', hideHead: true, right: true, cell: (n) => mayRemove && all.length > 1 && !n.leader && <Button small look="quiet" icon="trash" aria-label={`Remove ${n.node_id}`} onPress={() => setAsk(n)} /> },
        ]} />
      </div>
      {rows.some((n) => n.state === 'sealed') && <Note kind="warn">A sealed node keeps up, and serves nobody. Open it in the browser at its own address and enter the unseal keys there.</Note>}
      {typeof ask === 'object' && <Confirm title={`Remove ${ask.node_id}?`} action="Remove" typed={ask.node_id} onClose={close} run={() => write('sys/storage/raft/remove-peer', { server_id: ask.node_id }).then(changed)}>
        It stops being a member at once, and cannot come back with the data it has. Remove nodes that are gone for good.</Confirm>}
      {ask === 'step-down' && <Confirm title="Have the leader step down?" action="Step down" look="primary" onClose={close} run={() => write('sys/step-down').then(() => { toast('Another node takes over.'); void client.invalidateQueries({ queryKey: ['ha-status'] }); return changed() })}>
        A standby takes over, within a second or two. Requests wait for it meanwhile.</Confirm>}
      {ask === 'join' && <Join leader={rows.find((n) => n.leader)?.api?.api_address ?? location.origin} onClose={close} />}
      {ask === 'autopilot' && <AutopilotForm onClose={close} />}
    </div>}</Loaded>
  )
}

/** "12.695415ms" as 13 ms. */
function contact(text: string) {
  const ms = /^([\d.]+)ms$/.exec(text)
  return ms ? `${Math.round(Number(ms[1]))} ms ago` : /µs$|^0s$/.test(text) ? 'just now' : `${text.replace(/(\.\d)\d*s$/, '$1s')} ago`
}

function Join({ leader, onClose }: { leader: string; onClose: () => void }) {
  return (
    <Dialog title="Add a node" onClose={onClose} wide>
      <p>A node joins from its own side. Give it a configuration of its own, start it, and unseal it with the same keys: it votes once it has caught up.</p>
      <Snippet title="In its configuration" text={`storage "raft" {\n  path    = "/var/lib/strongroom"\n  node_id = "node-4"\n  retry_join {\n    leader_api_addr = "${leader}"\n  }\n}`} />
      <Snippet title="Or once, on a node that runs and is not set up" text={`vault operator raft join ${leader}`} />
      <div className="buttons"><Button look="primary" onPress={onClose}>Close</Button></div>
    </Dialog>
  )
}

function AutopilotForm({ onClose }: { onClose: () => void }) {
  const client = useQueryClient()
  const path = 'sys/storage/raft/autopilot/configuration'
  const { data: schema } = useQuery(requestSchema(`/${path}`))
  const found = useQuery(settings(path))
  const [typed, setTyped] = useState<Values>()
  return (
    <Dialog title="Autopilot" onClose={onClose}>
      <Loaded of={found}>{(now) => !schema || !now ? <Loading /> : <ActForm action="Save" cancel={onClose} disabled={!typed} onSubmit={async () => {
        await write(path, toBody(schema, typed!, now))
        await client.invalidateQueries({ queryKey: ['auth', path] })
        onClose()
      }}>
        <SchemaForm schema={schema} values={typed ?? initial(schema, now)} onChange={setTyped} skip={['disable_upgrade_migration', 'dr_operation_token']} />
      </ActForm>}</Loaded>
    </Dialog>
  )
}
