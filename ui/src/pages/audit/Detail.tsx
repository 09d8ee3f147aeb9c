import { Badge, Button, CopyButton, Dialog } from '../../kit'
import { Facts, Snippet } from '../../kit/parts'
import type { AuditRecord } from './audit'

const json = (v: unknown) => JSON.stringify(v, null, 2)

/** One record, whole. */
export function Detail({ record: r, onClose, onRequest }: { record: AuditRecord; onClose: () => void; onRequest: (id: string) => void }) {
  const { auth, request: q } = r
  return (
    <Dialog title={`${q.operation} ${q.path}`} onClose={onClose} wide>
      <Facts of={[
        ['Time', r.time],
        ['Record', r.type === 'response' ? 'of the answer' : 'of the request'],
        ['Error', r.error && <span className="break">{r.error.trim()}</span>],
        ['Who', auth?.display_name],
        ['Policies', auth?.policies && <span className="row">{auth.policies.map((p) => <Badge key={p}>{p}</Badge>)}</span>],
        ['Entity', auth?.entity_id && <code>{auth.entity_id}</code>],
        ['Metadata', auth?.metadata && Object.entries(auth.metadata).map(([k, v]) => `${k}=${v}`).join(', ')],
        ['Token', q.client_token && <code className="break">{q.client_token}</code>],
        ['Accessor', q.client_token_accessor && <code className="break">{q.client_token_accessor}</code>],
        ['Namespace', q.namespace?.path],
        ['Engine', q.mount_point && `${q.mount_point} (${q.mount_type})`],
        ['From', q.remote_address && `${q.remote_address}:${q.remote_port}`],
        ['Lease', r.response?.secret?.lease_id],
        ['Request id', <span className="row"><code className="break">{q.id}</code><CopyButton text={q.id} what="request id" /></span>],
      ]} />
      {q.data !== undefined && <Snippet title="What was asked" text={json(q.data)} />}
      {r.response?.data !== undefined && <Snippet title="What was answered" text={json(r.response.data)} />}
      {r.response?.auth !== undefined && <Snippet title="Token that was given" text={json(r.response.auth)} />}
      <details className="fold"><summary>The record as it stands in the file</summary><div className="stack"><Snippet title="Record" plain text={json(r)} /></div></details>
      <div className="buttons"><Button onPress={() => onRequest(q.id)}>Both records of this request</Button><Button look="primary" onPress={onClose}>Close</Button></div>
    </Dialog>
  )
}
