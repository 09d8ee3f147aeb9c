import { useInfiniteQuery } from '@tanstack/react-query'
import { useEffect, useMemo } from 'react'
import { Button, Empty, Loading, Problem } from '../../kit'
import { KeyList } from './KeyList'
import { scan, scanPage, type Kv } from './kv'

/** As many paths are looked through without asking; then the reader says whether to go on. */
const lookThrough = 20_000
/** And as many are shown: who has more of them types more. */
const enough = 500

/** The secrets in all folders below this one whose path holds `wanted`. Pages of paths are fetched until there are enough of them. */
export function Below({ kv, folder, wanted, onLeave, onCount }: { kv: Kv; folder: string; wanted: string; onLeave: () => void; onCount: (words: string) => void }) {
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetching } = useInfiniteQuery(scan(kv, folder))
  const paths = useMemo(() => data?.pages.flat() ?? [], [data])
  const found = useMemo(() => paths.filter((p) => p.toLowerCase().includes(wanted)), [paths, wanted])
  const bound = Math.max(lookThrough, Math.ceil((data?.pageParams.length ?? 0) * scanPage / lookThrough) * lookThrough)
  const going = hasNextPage && found.length < enough && paths.length < bound
  useEffect(() => { if (going && !isFetching && !error) void fetchNextPage() }, [going, isFetching, error, fetchNextPage])
  const n = (count: number) => count.toLocaleString('en')
  const words = data ? `${n(Math.min(found.length, enough))}${found.length > enough ? '+' : ''} of ${n(paths.length)}${hasNextPage ? ' looked through' : ''}` : ''
  useEffect(() => onCount(words), [words, onCount])
  if (error) return <Problem error={error} retry={() => void refetch()} />
  if (!data || going && found.length === 0) return <Loading what="Looking through the folders below" />
  return <>
    {found.length === 0 ? <Empty icon="search" title="Nothing by that name"><p>No path {hasNextPage ? `among the first ${n(paths.length)}` : 'below this folder'} holds “{wanted}”.</p></Empty>
      : <KeyList mount={kv.mount} folder={folder} names={found.slice(0, enough)} onLeave={onLeave} />}
    {hasNextPage && !going && <div className="browse-more"><Button small busy={isFetching} onPress={() => void fetchNextPage()}>Look further</Button></div>}
  </>
}
