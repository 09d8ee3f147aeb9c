import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { read, write } from '../../api/client'
import type { SysKeyStatus, SysRotateConfig } from '../../api/generated'
import { sealStatus, useMay } from '../../api/queries'
import { Button, Confirm, Loading, toast } from '../../kit'
import { Card, Facts, seconds } from '../../kit/parts'
import { When } from '../../kit/When'
import { GenerateRoot, Rekey } from './Ceremonies'

/** What protects everything that is stored. */
export function Seal() {
  const { data } = useQuery(sealStatus)
  const [ask, setAsk] = useState(false)
  const maySeal = useMay('sys/seal', 'update', 'sudo')
  const mayRekey = useMay(data?.recovery_seal ? 'sys/rekey-recovery-key/init' : 'sys/rekey/init', 'read', 'sudo')
  const mayRoot = useMay('sys/generate-root/attempt', 'read', 'sudo')
  if (!data) return <Loading />
  return (
    <div className="stack">
      <Card title="This node" actions={maySeal && <Button look="danger" small icon="lock" onPress={() => setAsk(true)}>Seal this node…</Button>}>
        <Facts of={[['Seal', data.type], ['State', data.sealed ? 'sealed' : 'unsealed'], [data.recovery_seal ? 'Recovery keys' : 'Unseal keys', `${data.t} of ${data.n} shares`], ['Storage', data.storage_type], ['Cluster', data.cluster_name], ['Cluster id', data.cluster_id && <code className="break">{data.cluster_id}</code>]]} />
      </Card>
      <EncryptionKey />
      {mayRekey && <Rekey recovery={data.recovery_seal} n={data.n} t={data.t} />}
      {mayRoot && <GenerateRoot />}
      {ask && <Confirm title="Seal this node?" action="Seal" typed="seal" onClose={() => setAsk(false)} run={() => write('sys/seal').then(() => undefined)}>
        It forgets its keys and serves nobody until {data.t} {data.recovery_seal ? 'recovery key shares are entered, or the server is restarted' : 'shares are entered again'}. If it leads, another node takes over.</Confirm>}
    </div>
  )
}

function EncryptionKey() {
  const client = useQueryClient()
  const mayRead = useMay('sys/key-status', 'read')
  const mayConfig = useMay('sys/rotate/config', 'read')
  const mayRotate = useMay('sys/rotate', 'update', 'sudo')
  const { data: key } = useQuery({ queryKey: ['seal', 'key'], enabled: mayRead, queryFn: async () => (await read<SysKeyStatus>('sys/key-status')).data })
  const { data: config } = useQuery({ queryKey: ['seal', 'rotate'], enabled: mayConfig, queryFn: async () => (await read<SysRotateConfig>('sys/rotate/config')).data })
  const [ask, setAsk] = useState(false)
  if (!mayRead) return null
  return (
    <Card title="Encryption key" actions={mayRotate && <Button small icon="refresh" onPress={() => setAsk(true)}>Rotate…</Button>}>
      {!key ? <Loading /> : <Facts of={[['Version', key.term], ['Since', <When at={key.install_time} />], ['Used for', `${key.encryptions.toLocaleString('en')} encryptions`],
        ['By itself', config && (config.enabled ? `rotated before ${config.max_operations.toLocaleString('en')} encryptions${config.interval > 0 ? `, and every ${seconds(config.interval)}` : ''}` : 'not rotated')]]} />}
      {ask && <Confirm title="Rotate the encryption key?" action="Rotate" look="primary" onClose={() => setAsk(false)} run={async () => {
        await write('sys/rotate')
        await client.invalidateQueries({ queryKey: ['seal'] })
        toast('Rotated: what is written from now on is encrypted with a new key.')
      }}>What is written from now on is encrypted with a new key. Older ones stay, to read what they encrypted. Nobody notices.</Confirm>}
    </Card>
  )
}
