import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { isForbidden, isMissing } from '../../api/errors'
import { allows, capabilities } from '../../api/queries'
import { Badge, Button, Confirm, Empty, Icon, Loading, Menu, Note, PageHead, Problem, toast, type MenuEntry } from '../../kit'
import { Tabs } from '../../kit/parts'
import { When } from '../../kit/When'
import { consumersOf } from '../kubernetes/consumers'
import { ReadBy } from '../kubernetes/ReadBy'
import { Crumbs } from './Crumbs'
import { act, at, metadata as metadataOf, removeAll, removeLatest, secret as secretOf, useAddress, type Kv } from './kv'
import { MetadataTab } from './MetadataTab'
import { OtherEngine } from './OtherEngine'
import { Share } from './Share'
import { Use } from './Use'
import { Values } from './Values'
import { Versions } from './Versions'
import './secrets.css'

/** One secret. */
export default function Secret() {
  const { kv, mount, path, error } = useAddress()
  if (error) return <Problem error={error} />
  if (kv === undefined) return <Loading />
  if (kv === null) return <OtherEngine mount={mount} />
  return <Shown key={path} kv={kv} path={path} />
}

function Shown({ kv, path }: { kv: Kv; path: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const [version, setVersion] = useState<number>()
  const [tab, setTab] = useState<string>()
  const [ask, setAsk] = useState<'share' | 'destroy' | 'all'>()
  const { data: meta } = useQuery(metadataOf(kv, path))
  const { data: last, error, refetch } = useQuery(secretOf(kv, path, version))
  const data = isForbidden(error) ? undefined : last // read by someone else, who was signed in before
  const paths = { data: at.data(kv, path), meta: at.metadata(kv, path), undelete: at.action(kv, 'undelete', path), destroy: at.action(kv, 'destroy', path) }
  const { data: caps } = useQuery(capabilities(Object.values(paths)))
  const writes = allows(caps?.[paths.data], 'update') || allows(caps?.[paths.data], 'create')
  const { data: readers } = useQuery({ ...consumersOf(paths.data), enabled: kv.v2 ? allows(caps?.[paths.meta], 'read') : writes })
  const may = (p: string, what: 'create' | 'update' | 'delete' | 'read') => allows(caps?.[p], what)
  const changed = () => client.invalidateQueries({ queryKey: ['kv', kv.mount] })
  const name = path.split('/').at(-1) ?? path
  const folder = path.slice(0, path.length - name.length)
  const leave = () => navigate({ to: '/secrets/$mount/list/$', params: { mount: kv.mount, _splat: folder } })
  const tell = (e: unknown) => toast(e instanceof Error ? e.message : String(e), 'bad')

  const more: MenuEntry[] = [
    ...(data?.data && may(paths.data, 'read') ? [{ label: 'Share once…', icon: 'share' as const, run: () => setAsk('share') }] : []),
    ...(data?.data && kv.v2 && version === undefined && may(paths.data, 'delete') ? [{ label: 'Delete this version', icon: 'trash' as const, run: () => void removeLatest(kv, path).then(changed).then(() => toast('Deleted. It can be undeleted under Versions.'), tell) }] : []),
    ...(kv.v2 && data && !data.destroyed && may(paths.destroy, 'update') ? [{ label: 'Destroy this version…', icon: 'trash' as const, bad: true, run: () => setAsk('destroy') }] : []),
    ...(may(paths.meta, 'delete') ? [{ label: kv.v2 ? 'Remove all versions…' : 'Delete…', icon: 'trash' as const, bad: true, run: () => setAsk('all') }] : []),
  ]
  return (
    <div>
      <PageHead above={<Crumbs mount={kv.mount} path={path} />} title={name}
        about={data && data.version > 0 && <>Version {data.version}{data.created && <>, written <When at={data.created} /></>}</>}>
        {version !== undefined && <Button icon="left" onPress={() => setVersion(undefined)}>Current version</Button>}
        {version === undefined && (may(paths.data, 'update') || may(paths.data, 'create')) && (data || isForbidden(error)) && <Link className="button primary" to="/secrets/$mount/edit/$" params={{ mount: kv.mount, _splat: path }} data-create><Icon name="edit" />{kv.v2 ? 'New version' : 'Edit'}</Link>}
        {more.length > 0 && <Menu label="More about this secret" entries={more} />}
      </PageHead>
      {isMissing(error) ? <div className="card"><Empty icon="key" title="There is no secret here"><p>Nothing is at this path, or not any more.</p>
        {may(paths.data, 'create') && <Link className="button primary" to="/secrets/$mount/edit/$" params={{ mount: kv.mount, _splat: path }}>Write it</Link>}</Empty></div>
        : error && !data && !isForbidden(error) ? <Problem error={error} retry={() => void refetch()} />
          : !data && !error ? <Loading />
            : <Tabs label="About this secret" at={tab} onAt={setTab} tabs={[
              { id: 'data', label: 'Data', show: () => <>{!data ? <div className="card"><Empty icon="lock" title="You may not read this secret"><p>Your policy lets you see that it exists, not what it holds.</p></Empty></div>
                : data.data ? <Values data={data.data} />
                  : <div className="card"><Empty icon="trash" title={data.destroyed ? 'This version was destroyed' : 'This version was deleted'}>
                    <p>{data.destroyed ? 'Its data is gone for good.' : 'Its data is kept until it is destroyed.'} <Badge kind={data.destroyed ? 'bad' : 'warn'}>{data.destroyed ? 'destroyed' : 'deleted'}</Badge></p>
                    {!data.destroyed && may(paths.undelete, 'update') && <Button icon="undo" onPress={() => void act(kv, 'undelete', path, [data.version]).then(changed).then(() => toast('Undeleted.'), tell)}>Undelete</Button>}</Empty></div>}
              {version !== undefined && <div className="under"><Note>You are looking at an older version.</Note></div>}</> },
              meta && { id: 'versions', label: 'Versions', show: () => <Versions kv={kv} path={path} meta={meta} onOpen={(v) => { setVersion(v === meta.current_version ? undefined : v); setTab('data') }} /> },
              meta && { id: 'metadata', label: 'Metadata', show: () => <MetadataTab kv={kv} path={path} meta={meta} /> },
              readers && readers.total > 0 && { id: 'readers', label: 'Kubernetes', show: () => <ReadBy of={readers} version={meta?.current_version} /> },
              { id: 'use', label: 'Use it', show: () => <Use kv={kv} path={path} keys={Object.keys(data?.data ?? {})} /> },
            ]} />}
      {ask === 'share' && data && <Share kv={kv} path={path} version={data.version} onClose={() => setAsk(undefined)} />}
      {ask === 'destroy' && data && <Confirm title={`Destroy version ${data.version}?`} action="Destroy" run={() => act(kv, 'destroy', path, [data.version]).then(changed)} onClose={() => setAsk(undefined)}>Its data is gone for good: nothing can bring it back.</Confirm>}
      {ask === 'all' && <Confirm title={kv.v2 ? 'Remove the secret and all its versions?' : 'Delete the secret?'} action="Remove" typed={name} run={() => removeAll(kv, path).then(changed).then(leave)} onClose={() => setAsk(undefined)}>Nothing can bring it back. Programs that read it will fail.</Confirm>}
    </div>
  )
}
