import { Link } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useRef, type KeyboardEvent } from 'react'
import { Icon } from '../../kit'

const rowHeight = 38

/** Names as links, of which only those in sight exist: tens of thousands scroll as ten do. The arrow keys go from one to the next. */
export function KeyList({ mount, folder, names, onLeave }: { mount: string; folder: string; names: string[]; onLeave: () => void }) {
  const box = useRef<HTMLDivElement>(null)
  const rows = useVirtualizer({ count: names.length, getScrollElement: () => box.current, estimateSize: () => rowHeight, overscan: 12 })
  const focus = (index: number) => {
    if (index < 0) return onLeave()
    const to = Math.min(index, names.length - 1)
    rows.scrollToIndex(to)
    requestAnimationFrame(() => requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-index="${to}"] a`)?.focus()))
  }
  const move = (e: KeyboardEvent) => {
    const now = Number((e.target as HTMLElement).closest('[data-index]')?.getAttribute('data-index') ?? -1)
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: names.length - 1, PageDown: now + 12, PageUp: Math.max(0, now - 12) }[e.key]
    if (to === undefined) return
    e.preventDefault()
    focus(to)
  }
  return (
    <div ref={box} className="keys" onKeyDown={move}>
      <ul style={{ height: rows.getTotalSize() }} aria-label={`${names.length} names`}>
        {rows.getVirtualItems().map((row) => {
          const name = names[row.index]!
          const isFolder = name.endsWith('/')
          return (
            <li key={row.key} data-index={row.index} aria-setsize={names.length} aria-posinset={row.index + 1} style={{ transform: `translateY(${row.start}px)`, height: rowHeight }}>
              <Link to={isFolder ? '/secrets/$mount/list/$' : '/secrets/$mount/show/$'} params={{ mount, _splat: folder + name }} preload={false}>
                <Icon name={isFolder ? 'folder' : 'key'} /><span>{name}</span>
              </Link>
            </li>
          )
        })}
      </ul>
    </div>
  )
}
