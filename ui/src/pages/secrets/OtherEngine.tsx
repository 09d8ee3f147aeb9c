import { useQuery } from '@tanstack/react-query'
import { mounts } from '../../api/queries'
import { lazy, Suspense } from 'react'
import { Empty, Loading, Note, PageHead } from '../../kit'
import { Crumbs } from './Crumbs'

const Database = lazy(() => import('../database/Database'))
const Pki = lazy(() => import('../pki/Pki'))
const Transit = lazy(() => import('../transit/Transit'))

/** What is known of an engine that has no pages of its own. */
export function OtherEngine({ mount }: { mount: string }) {
  const { data } = useQuery(mounts)
  const found = data?.secret[mount]
  if (!found) return <Empty icon="lock" title="There is no such engine"><p>Nothing is mounted at {mount}, or your policies grant nothing in it.</p></Empty>
  if (found.type === 'database') return <Suspense fallback={<Loading />}><Database mount={mount} /></Suspense>
  if (found.type === 'pki') return <Suspense fallback={<Loading />}><Pki mount={mount} /></Suspense>
  if (found.type === 'transit') return <Suspense fallback={<Loading />}><Transit mount={mount} /></Suspense>
  return (
    <div>
      <PageHead above={<Crumbs mount={mount} path="" />} title={mount} about={found.description} />
      <div className="stack">
        <div className="card pad">
          <dl className="facts">
            <dt>Type</dt><dd>{found.type}</dd><dt>Accessor</dt><dd><code>{found.accessor}</code></dd>
            {Object.entries(found.options ?? {}).map(([k, v]) => <div key={k} className="contents"><dt>{k}</dt><dd>{v}</dd></div>)}
          </dl>
        </div>
        <Note>This engine has no pages here yet. Use the command line: <code>vault path-help {mount}</code> lists what it can do.</Note>
      </div>
    </div>
  )
}
