import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { list, write } from '../../api/client'
import type { SysLeaseInfo } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Button, Confirm, Dialog, Empty, Icon, Loading, Problem, Table, TextField, toast } from '../../kit'
import { ActForm, Facts, seconds } from '../../kit/parts'
import { When } from '../../kit/When'
import { pageSize } from './tokens'

/** Leases as the tree of their ids: below the mount and path that they were lent at. */
export function Leases() {
  const client = useQueryClient()
  const [at, setAt] = useState('')
  const [open, setOpen] = useState('')
  const [typed, setTyped] = useState('')
  const [ending, end] = useState(false)
  const mayEnd = useMay('sys/leases/revoke-prefix/any', 'update', 'sudo')
  const found = useInfiniteQuery({
    queryKey: ['leases', at], initialPageParam: '', queryFn: ({ pageParam, signal }) => list('sys/leases/lookup/' + at, { query: { limit: pageSize, after: pageParam || undefined }, signal }),
    getNextPageParam: (last) => last.length === pageSize ? last.at(-1) : undefined,
  })
  const parts = at.split('/').filter(Boolean)
  const rows = found.data?.pages.flat() ?? []
  return (
    <div className="stack">
      <form className="row-top" aria-label="Open a lease" onSubmit={(e) => { e.preventDefault(); if (typed.trim()) setOpen(typed.trim()) }}>
        <div className="grow"><TextField label="Lease ID" hideLabel placeholder="Lease ID, to open it directly" value={typed} onChange={setTyped} code data-search /></div><Button type="submit" isDisabled={!typed.trim()}>Open</Button>
      </form>
      <div className="card">
        <div className="card-head"><nav className="crumbs" aria-label="Where this is"><ol>
          <li><button type="button" className="link" onClick={() => setAt('')}>All leases</button></li>
          {parts.map((p, i) => <li key={i}><Icon name="right" size={12} /><button type="button" className="link" onClick={() => setAt(parts.slice(0, i + 1).join('/') + '/')}>{p}</button></li>)}
        </ol></nav>{at && mayEnd && rows.length > 0 && <Button small look="danger" onPress={() => end(true)}>Revoke all of these…</Button>}</div>
        {found.error ? <div className="card-body"><Problem error={found.error} retry={() => void found.refetch()} /></div> : !found.data ? <Loading /> : <>
          <Table label="Leases" rows={rows} id={(n) => n} empty={<Empty icon="clock" title="Nothing is lent here"><p>Tokens and dynamic credentials appear here while they live.</p></Empty>} columns={[
            { head: 'Name', cell: (n) => <button type="button" className="link mono" onClick={() => n.endsWith('/') ? setAt(at + n) : setOpen(at + n)}>{n}</button> },
          ]} />
          {found.hasNextPage && <div className="card-body"><Button busy={found.isFetchingNextPage} onPress={() => void found.fetchNextPage()}>More</Button></div>}
        </>}
      </div>
      {open && <Lease id={open} onClose={() => setOpen('')} onEnd={() => client.invalidateQueries({ queryKey: ['leases'] })} />}
      {ending && <Confirm title={`Revoke all below ${at}?`} action="Revoke all" typed={parts.at(-1)} onClose={() => end(false)} run={() => write('sys/leases/revoke-prefix/' + at.replace(/\/$/, '')).then(() => client.invalidateQueries({ queryKey: ['leases'] }))}>
        Every token and credential below this path ends at once: whoever uses one is refused from then on.</Confirm>}
    </div>
  )
}

function Lease({ id, onClose, onEnd }: { id: string; onClose: () => void; onEnd: () => Promise<void> }) {
  const { data, error, refetch } = useQuery({ queryKey: ['leases', 'of', id], queryFn: async () => (await write<SysLeaseInfo>('sys/leases/lookup', { lease_id: id })).data })
  const mayRenew = useMay('sys/leases/renew', 'update')
  const mayEnd = useMay('sys/leases/revoke', 'update')
  const isToken = id.startsWith('auth/') // the server renews those by the token or its accessor only
  return (
    <Dialog title="Lease" onClose={onClose}>
      <code className="break">{id}</code>
      {error ? <Problem error={error} retry={() => void refetch()} /> : !data ? <Loading /> : <>
        <Facts of={[['Lent', <When at={data.issue_time} />], ['Ends', data.expire_time ? <><When at={data.expire_time} /> <span className="muted">({seconds(data.ttl)} left)</span></> : 'never'], ['Renewed', data.last_renewal && <When at={data.last_renewal} />]]} />
        {isToken && data.renewable && <p className="small muted">It is a token: it is renewed by whoever has it, or by its accessor under “Look up”.</p>}
        <div className="row-top">
          {mayRenew && data.renewable && !isToken && <ActForm action="Renew" onSubmit={async () => { await write('sys/leases/renew', { lease_id: id }); await refetch(); toast('Renewed.') }}>{null}</ActForm>}
          {mayEnd && <ActForm action="Revoke" look="danger" onSubmit={async () => { await write('sys/leases/revoke', { lease_id: id, sync: true }); await onEnd(); toast('Revoked.'); onClose() }}>{null}</ActForm>}
        </div>
      </>}
    </Dialog>
  )
}
