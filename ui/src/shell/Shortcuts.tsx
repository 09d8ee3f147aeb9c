import { useNavigate } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { Dialog } from '../kit'
import { nav } from './nav'

const typing = (e: KeyboardEvent) => e.target instanceof HTMLElement && (e.target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) || e.composedPath().some((n) => n instanceof HTMLElement && n.isContentEditable))

// Parts of a page that are not shown now are in the document too.
const first = (selector: string) => [...document.querySelectorAll<HTMLElement>(selector)].find((e) => e.checkVisibility())

/** The keys that work on every page. They wait while something is typed or a dialog is open. */
export function Shortcuts() {
  const navigate = useNavigate()
  const [help, setHelp] = useState(false)
  const going = useRef(0)
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || typing(e) || document.querySelector('[role="dialog"], [role="alertdialog"]')) return
      const entry = Date.now() - going.current < 1500 && nav.flatMap((s) => s.entries).find((n) => n.key === e.key)
      going.current = e.key === 'g' ? Date.now() : 0
      if (entry) void navigate({ to: entry.to })
      else if (e.key === '/') first('main [data-search]')?.focus()
      else if (e.key === 'n') first('main [data-create]')?.click()
      else if (e.key === '?') setHelp(true)
      else return
      e.preventDefault()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [navigate])
  if (!help) return null
  return (
    <Dialog title="Keys" onClose={() => setHelp(false)}>
      <dl className="facts">
        <dt><kbd>/</kbd></dt><dd>Search on this page</dd>
        <dt><kbd>n</kbd></dt><dd>Create what this page is about</dd>
        {nav.flatMap((s) => s.entries).map((e) => <div key={e.to} className="contents"><dt><kbd>g</kbd> <kbd>{e.key}</kbd></dt><dd>Go to {e.label}</dd></div>)}
        <dt><kbd>?</kbd></dt><dd>This list</dd>
      </dl>
    </Dialog>
  )
}
