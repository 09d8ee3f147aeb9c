import { useSyncExternalStore } from 'react'

interface Item { id: number; text: string; kind: 'info' | 'bad' }

// Toasts are told from anywhere, so they live outside of React; the shell shows them.
let items: Item[] = []
let next = 1
const listeners = new Set<() => void>()

function change(to: Item[]) {
  items = to
  listeners.forEach((tell) => tell())
}

/** Says in passing that something happened. Errors that need an answer belong into the page instead. */
export function toast(text: string, kind: Item['kind'] = 'info') {
  const id = next++
  change([...items.slice(-2), { id, text, kind }])
  setTimeout(() => change(items.filter((i) => i.id !== id)), kind === 'bad' ? 9000 : 4500)
}

export function Toasts() {
  const shown = useSyncExternalStore((tell) => { listeners.add(tell); return () => listeners.delete(tell) }, () => items)
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((i) => (
        <div key={i.id} className={'toast ' + i.kind}>
          <span>{i.text}</span>
          <button type="button" aria-label="Dismiss" onClick={() => change(items.filter((o) => o.id !== i.id))}>×</button>
        </div>
      ))}
    </div>
  )
}
