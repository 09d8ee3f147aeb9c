import { useState } from 'react'
import { write } from '../../api/client'
import { isForbidden } from '../../api/errors'
import type { SysTokenInfo } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Badge, Button, Confirm, CopyButton, SecretField, Segments, TextField, toast } from '../../kit'
import { ActForm, Card, Facts, seconds } from '../../kit/parts'
import { useAct } from '../../kit/useAct'
import { When } from '../../kit/When'
import { Tester } from '../policies/Tester'

/** What a token is, by itself or by its accessor: the accessor is no secret and allows nothing. */
export function LookUp({ given }: { given: string }) {
  const [by, setBy] = useState<'accessor' | 'token'>('accessor')
  const [texts, setTexts] = useState({ accessor: given, token: '' })
  const text = texts[by]
  const setText = (t: string) => setTexts({ ...texts, [by]: t })
  const [found, setFound] = useState<SysTokenInfo>()
  const [ending, end] = useState(false)
  const act = useAct()
  const mayRenew = useMay('auth/token/renew-accessor', 'update')
  const mayRevoke = useMay('auth/token/revoke-accessor', 'update')
  const look = async (accessor?: string) => {
    const value = accessor ?? text.trim()
    const answer = by === 'token' && !accessor ? await write<SysTokenInfo>('auth/token/lookup', { token: value }) : await write<SysTokenInfo>('auth/token/lookup-accessor', { accessor: value })
    setFound(answer.data)
  }
  const t = found
  return (
    <div className="stack">
      <div className="card pad">
        <ActForm action="Look up" disabled={!text.trim()} onSubmit={() => { setFound(undefined); return look().catch((e) => { throw isForbidden(e) ? new Error('There is no such token, or you may not look tokens up. It may have expired or been revoked.') : e }) }}>
          <div><Segments label="By" value={by} onChange={(b) => { setBy(b); setFound(undefined) }} options={[{ value: 'accessor', label: 'By its accessor' }, { value: 'token', label: 'By the token itself' }]} /></div>
          {by === 'accessor' ? <TextField label="Accessor" value={text} onChange={setText} code data-search /> : <SecretField label="Token" value={text} onChange={setText} />}
        </ActForm>
      </div>
      {t && <Card title={t.display_name || 'Token'} actions={<>
        {mayRenew && t.renewable && <Button small busy={act.busy} onPress={() => void act.run(async () => { await write('auth/token/renew-accessor', { accessor: t.accessor }); await look(t.accessor); toast('Renewed.') })}>Renew</Button>}
        {mayRevoke && <Button small look="danger" onPress={() => end(true)}>Revoke…</Button>}
      </>}>
        <Facts of={[
          ['Accessor', <span className="row"><code className="break">{t.accessor}</code><CopyButton text={t.accessor} what="accessor" /></span>],
          ['Policies', <span className="row">{[...new Set([...t.policies, ...(t.identity_policies ?? [])])].map((p) => <Badge key={p}>{p}</Badge>)}</span>],
          ['Came from', <code className="break">{t.path}</code>], ['Role', t.role], ['Type', t.type], ['Namespace', t.namespace_path],
          ['Entity', t.entity_id && <code>{t.entity_id}</code>],
          ['Made', <When at={t.creation_time * 1000} />], ['Expires', t.expire_time ? <><When at={t.expire_time} /> <span className="muted">({seconds(t.ttl)} left)</span></> : 'never'],
          ['Period', t.period && seconds(t.period)], ['At most', t.explicit_max_ttl > 0 && seconds(t.explicit_max_ttl)], ['Uses left', t.num_uses > 0 && t.num_uses],
          ['Parent', t.orphan ? 'none: it lives on its own' : 'the token that made it'], ['Metadata', t.meta && Object.entries(t.meta).map(([k, v]) => `${k}=${v}`).join(', ')],
        ]} />
      </Card>}
      {t && <><h2>What may it do?</h2><Tester key={t.accessor} accessor={t.accessor} /></>}
      {ending && t && <Confirm title={`Revoke the token of ${t.display_name || t.accessor}?`} action="Revoke" onClose={() => end(false)} run={async () => { await write('auth/token/revoke-accessor', { accessor: t.accessor }); setFound(undefined); setText(''); toast('Revoked.') }}>
        It ends at once, and so do all tokens and leases that were made with it.</Confirm>}
    </div>
  )
}
