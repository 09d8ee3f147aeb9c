import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import { isForbidden } from '../../api/errors'
import { useMay } from '../../api/queries'
import { Empty, Icon, Loading, PageHead, Problem, SearchField, Segments, Button } from '../../kit'
import { Below } from './Below'
import { Crumbs } from './Crumbs'
import { KeyList } from './KeyList'
import { at, names as namesOf, useAddress, type Kv } from './kv'
import { OpenPath } from './OpenPath'
import { OtherEngine } from './OtherEngine'
import './secrets.css'

/** A folder of a key-value engine. */
export default function Browse() {
  const { kv, mount, path, error } = useAddress()
  if (error) return <Problem error={error} />
  if (kv === undefined) return <Loading />
  if (kv === null) return <OtherEngine mount={mount} />
  return <Folder key={path} kv={kv} folder={path && path.replace(/\/*$/, '/')} />
}

function Folder({ kv, folder }: { kv: Kv; folder: string }) {
  const { data, error, refetch, isFetching } = useQuery(namesOf(kv, folder))
  const [filter, setFilter] = useState('')
  const wanted = useDeferredValue(filter.trim().toLowerCase())
  const [where, setWhere] = useState<'here' | 'below'>('here')
  const [count, setCount] = useState('')
  const mayScan = useMay(at.metadata(kv, folder) || kv.mount, 'scan')
  const below = where === 'below' && mayScan && wanted !== ''
  const box = useRef<HTMLDivElement>(null)
  const navigate = useNavigate()
  const mayCreate = useMay(at.data(kv, folder + 'new-secret'), 'create')
  const shown = useMemo(() => (data ?? []).filter((n) => n.toLowerCase().includes(wanted)), [data, wanted])
  const focusSearch = () => box.current?.querySelector<HTMLElement>('[data-search]')?.focus()
  useEffect(focusSearch, [data === undefined])

  const open = (name: string) => void navigate({ to: name.endsWith('/') ? '/secrets/$mount/list/$' : '/secrets/$mount/show/$', params: { mount: kv.mount, _splat: folder + name } })
  return (
    <div ref={box}>
      <PageHead above={<Crumbs mount={kv.mount} path={folder} />} title={folder ? folder.split('/').at(-2) + '/' : kv.mount}
        about={folder ? undefined : kv.v2 ? 'Key-value secrets, each with its versions.' : 'Key-value secrets of the first kind: only the last value is kept.'}>
        <Button look="quiet" icon="refresh" aria-label="Reload" isDisabled={isFetching} onPress={() => void refetch()} />
        {mayCreate && <Link className="button primary" to="/secrets/$mount/create/$" params={{ mount: kv.mount, _splat: folder }} data-create><Icon name="plus" />Create secret</Link>}
      </PageHead>
      {isForbidden(error) ? <div className="card"><Empty icon="lock" title="You may not list this folder"><p>Your policy may still let you read what you know the path of.</p><OpenPath mount={kv.mount} folder={folder} /></Empty></div>
        : error ? <Problem error={error} retry={() => void refetch()} />
          : !data ? <Loading />
            : data.length === 0 ? <div className="card"><Empty icon="key" title="No secrets here yet">
              <p>{mayCreate ? 'Create the first one; a slash in its name makes a folder.' : 'There is nothing that you may see.'}</p></Empty></div>
              : <div className="card browse">
                <div className="browse-head">
                  <SearchField label={`Filter ${data.length.toLocaleString('en')} names`} value={filter} onChange={setFilter} onKeyDown={(e) => {
                    if (e.key === 'ArrowDown') { e.preventDefault(); box.current?.querySelector<HTMLElement>('.keys [data-index] a')?.focus() }
                    if (e.key === 'Enter') below ? box.current?.querySelector<HTMLElement>('.keys [data-index="0"] a')?.click() : shown[0] && open(shown[0])
                    if (e.key === 'Escape') setFilter('')
                  }} />
                  {mayScan && data.some((n) => n.endsWith('/')) && <Segments label="Where to look" value={where} onChange={setWhere} options={[{ value: 'here', label: 'Here' }, { value: 'below', label: 'All below' }]} />}
                  <span className="small muted nowrap" role="status">{below ? count : wanted ? `${shown.length.toLocaleString('en')} of ${data.length.toLocaleString('en')}` : data.length.toLocaleString('en')}</span>
                </div>
                {below ? <Below kv={kv} folder={folder} wanted={wanted} onLeave={focusSearch} onCount={setCount} />
                  : shown.length === 0 ? <Empty icon="search" title="Nothing by that name"><p>No name in this folder holds “{filter}”.</p></Empty>
                    : <KeyList mount={kv.mount} folder={folder} names={shown} onLeave={focusSearch} />}
              </div>}
    </div>
  )
}
