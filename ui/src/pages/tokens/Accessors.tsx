import { useInfiniteQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { list } from '../../api/client'
import { Button, Empty, Loading, Problem, SearchField, Table } from '../../kit'
import { pageSize } from './tokens'

/** The accessors of all tokens there are. */
export function Accessors({ onOpen }: { onOpen: (accessor: string) => void }) {
  const [filter, setFilter] = useState('')
  const found = useInfiniteQuery({
    queryKey: ['tokens', 'accessors'], initialPageParam: '', queryFn: ({ pageParam, signal }) => list('auth/token/accessors', { query: { limit: pageSize, after: pageParam || undefined }, signal }),
    getNextPageParam: (last) => last.length === pageSize ? last.at(-1) : undefined,
  })
  if (found.error) return <Problem error={found.error} retry={() => void found.refetch()} />
  if (!found.data) return <Loading />
  const all = found.data.pages.flat()
  const rows = all.filter((a) => a.toLowerCase().includes(filter.trim().toLowerCase()))
  return (
    <div className="stack">
      <SearchField label={`Filter the ${all.length.toLocaleString('en')} loaded`} value={filter} onChange={setFilter} />
      <div className="card">
        <Table label="Accessors of tokens" rows={rows} id={(a) => a} empty={<Empty icon="clock" title="None by that name"><p>No accessor that is loaded holds “{filter}”.</p></Empty>} columns={[
          { head: 'Accessor', cell: (a) => <button type="button" className="link mono" onClick={() => onOpen(a)}>{a}</button> },
        ]} />
        {found.hasNextPage && <div className="card-body"><Button busy={found.isFetchingNextPage} onPress={() => void found.fetchNextPage()}>More</Button></div>}
      </div>
    </div>
  )
}
