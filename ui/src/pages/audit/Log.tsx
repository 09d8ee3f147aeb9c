import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { haStatus } from '../../api/queries'
import { Badge, Button, Check, Empty, Loading, Problem, Segments, Select, Table, TextField } from '../../kit'
import { bytes } from '../../kit/parts'
import { devices, noFilter, search, type AuditRecord, type Filter } from './audit'
import { Detail } from './Detail'

const spans: { value: string; label: string }[] = [
  { value: '900', label: 'Last 15 minutes' }, { value: '3600', label: 'Last hour' }, { value: '86400', label: 'Last day' },
  { value: '604800', label: 'Last week' }, { value: '', label: 'All there is' }, { value: 'own', label: 'Between…' },
]
const operations = ['create', 'read', 'update', 'patch', 'delete', 'list', 'scan']
const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' })
// What the browser's field means is local time; the API takes UTC.
const utc = (local: string) => local && new Date(local).toISOString()
const idOf = (r: AuditRecord) => r.request.id + r.type
// What consoles, this one too, ask all the time to know what to offer.
const isChecking = (path: string) => /^(sys\/(internal\/|capabilities-self$|ha-status$|leader$)|auth\/token\/lookup-self$)/.test(path)

/** The audit log of the node that this page comes from. */
export function Log({ holds, onHolds }: { holds: string; onHolds: (text: string) => void }) {
  const [filter, setFilter] = useState<Filter>(() => ({ ...noFilter, from: since(3600) }))
  const [span, setSpan] = useState('3600')
  const [typed, setTyped] = useState({ path: '', name: '' })
  const [live, setLive] = useState<{ from: string }>()
  const [open, setOpen] = useState<AuditRecord>()
  const [quiet, setQuiet] = useState(true)
  const { data: all = [] } = useQuery(devices)
  const found = useInfiniteQuery({
    queryKey: ['audit', 'search', filter], initialPageParam: '', queryFn: ({ pageParam, signal }) => search(filter, pageParam, signal),
    getNextPageParam: (last) => last.next || undefined, staleTime: Infinity,
  })
  const tail = useQuery({
    queryKey: ['audit', 'tail', filter, live?.from], enabled: !!live, refetchInterval: 2000,
    queryFn: ({ signal }) => search({ ...filter, from: live!.from, to: '' }, '', signal),
  })
  const set = (change: Partial<Filter>) => setFilter((f) => ({ ...f, ...change }))
  const pages = found.data?.pages ?? []
  const records = merge(live ? tail.data?.records ?? [] : [], pages.flatMap((p) => p.records))
  const held = holds ? records.filter((r) => JSON.stringify(r).includes(holds)) : records
  const shown = quiet && !filter.path && !filter.request ? held.filter((r) => !isChecking(r.request.path)) : held
  const chooseSpan = (value: string) => {
    setSpan(value)
    if (value !== 'own') set({ from: value && since(Number(value)), to: '' })
  }
  const files = all.filter((d) => d.type === 'file')
  return (
    <div className="stack">
      <form className="card pad stack" aria-label="Search the audit log" onSubmit={(e) => { e.preventDefault(); set({ ...typed, from: span === 'own' || !span ? filter.from : since(Number(span)) }); void found.refetch() }}>
        <div className="columns audit-filter">
          <Select label="When" value={span} onChange={chooseSpan} options={spans} />
          {span === 'own' && <>
            <TextField label="From" type="datetime-local" step={1} onChange={(v) => set({ from: utc(v) })} />
            <TextField label="To" type="datetime-local" step={1} onChange={(v) => set({ to: utc(v) })} />
          </>}
          <TextField label="Path begins with" value={typed.path} onChange={(path) => setTyped({ ...typed, path })} placeholder="secret/data/" code data-search />
          <Select label="Operation" value={filter.operation} onChange={(operation) => set({ operation })} options={[{ value: '', label: 'Any' }, ...operations.map((o) => ({ value: o, label: o }))]} />
          <TextField label="Who" value={typed.name} onChange={(name) => setTyped({ ...typed, name })} placeholder="Name, entity or metadata" />
          {files.length > 1 && <Select label="Device" value={filter.device} onChange={(device) => set({ device })} options={[{ value: '', label: 'The first' }, ...files.map((d) => ({ value: d.path, label: d.path }))]} />}
          <TextField label="Holds" value={holds} onChange={onHolds} placeholder="Text or hash, in what is loaded" code />
        </div>
        <div className="spread">
          <div className="row wide-gap">
            <Segments label="Records" value={filter.type} onChange={(type) => set({ type })} options={[{ value: 'response', label: 'Answers' }, { value: 'request', label: 'Requests' }, { value: '', label: 'Both' }]} />
            <Check checked={filter.errors} onChange={(errors) => set({ errors })}>Errors only</Check>
            <Check checked={!!live} onChange={(on) => setLive(on ? { from: new Date().toISOString() } : undefined)}>Live</Check>
            <Check checked={quiet} onChange={setQuiet}>Hide what consoles ask of themselves</Check>
          </div>
          <div className="row">
            {filter.request && <Button small icon="close" onPress={() => set({ request: '', type: 'response' })}>One request only</Button>}
            <Button type="submit" look="primary" icon="search" isDisabled={found.isFetching}>Search</Button>
          </div>
        </div>
      </form>
      {found.error ? <Problem error={found.error} retry={() => void found.refetch()} /> : !found.data ? <Loading what="Searching" /> : (
        <div className="card">
          <div className="card-head small muted"><span role="status">{shown.length.toLocaleString('en')} {shown.length === 1 ? 'record' : 'records'}{held.length > shown.length && `, ${(held.length - shown.length).toLocaleString('en')} hidden`}{live && '; new ones come by themselves'}</span><From node={pages[0]!.node_id} scanned={pages.reduce((n, p) => n + p.scanned_bytes, 0)} /></div>
          {live && tail.error ? <div className="pad-s"><Problem error={tail.error} /></div> : null}
          <Table label="Audit records" rows={shown} id={idOf} columns={[
            { head: 'Time', cell: (r) => <time className="mono small nowrap" dateTime={r.time} title={r.time}>{time.format(Date.parse(r.time))}<span className="muted"> {day.format(Date.parse(r.time))}</span></time> },
            { head: 'Operation', cell: (r) => <Badge kind={r.request.operation === 'delete' ? 'warn' : undefined}>{r.request.operation}</Badge> },
            { head: 'Path', cell: (r) => <button type="button" className="link mono" onClick={() => setOpen(r)}>{r.request.namespace?.path}{r.request.path}</button> },
            { head: 'Who', cell: (r) => <span className="break">{r.auth?.display_name || <span className="muted">nobody known</span>}</span> },
            { head: 'Outcome', cell: (r) => r.error ? <Badge kind="bad">{short(r.error)}</Badge> : r.type === 'request' ? <Badge>asked</Badge> : <Badge kind="good">done</Badge> },
          ]} empty={<Empty icon="list" title="No records match">{found.hasNextPage ? <p>None among those looked at so far.</p> : <p>Widen the time, or leave a field empty.</p>}</Empty>} />
          {found.hasNextPage && <div className="more"><Button busy={found.isFetchingNextPage} onPress={() => void found.fetchNextPage()}>Older records</Button></div>}
        </div>
      )}
      {open && <Detail record={open} onClose={() => setOpen(undefined)} onRequest={(id) => { setOpen(undefined); set({ request: id, type: '', from: '', to: '' }); setSpan('') }} />}
    </div>
  )
}

/** Whose log this is; others have their own. */
function From({ node, scanned }: { node: string; scanned: number }) {
  const { data = [] } = useQuery({ ...haStatus, refetchInterval: false })
  return <span>Log of node {node}, {bytes(scanned)} read{data.length > 1 && '; each node keeps its own'}</span>
}

const since = (s: number) => new Date(Date.now() - s * 1000).toISOString()
const short = (error: string) => /permission denied/.test(error) ? 'denied' : /invalid token/.test(error) ? 'invalid token' : 'failed'

function merge(newer: AuditRecord[], older: AuditRecord[]) {
  const seen = new Set(newer.map(idOf))
  return [...newer, ...older.filter((r) => !seen.has(idOf(r)))]
}
