import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { json, jsonParseLinter } from '@codemirror/lang-json'
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { linter } from '@codemirror/lint'
import { Compartment, EditorState, type Extension } from '@codemirror/state'
import { EditorView, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { useEffect, useRef, useState } from 'react'

const look = EditorView.theme({
  '&': { fontSize: '13px', color: 'var(--text)', backgroundColor: 'var(--surface)', border: '1px solid var(--line-strong)', borderRadius: '6px', overflow: 'hidden' },
  '&.cm-focused': { outline: '2px solid var(--focus)', outlineOffset: '-1px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.6', minHeight: '220px', maxHeight: '60vh' },
  '.cm-gutters': { backgroundColor: 'var(--surface-2)', color: 'var(--text-3)', border: 'none' },
  '.cm-content': { caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-content ::selection': { backgroundColor: 'color-mix(in srgb, var(--accent) 30%, transparent)' },
  '.cm-tooltip': { backgroundColor: 'var(--surface)', color: 'var(--text)', border: '1px solid var(--line)', borderRadius: '6px' },
  '.cm-matchingBracket': { backgroundColor: 'var(--accent-soft)' },
})

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.attributeName], color: 'var(--accent-text)' },
  { tag: [tags.string], color: 'var(--info-text)' },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: 'var(--warn-text)' },
  { tag: [tags.comment], color: 'var(--text-3)' },
  { tag: [tags.keyword, tags.definitionKeyword], color: 'var(--accent-text)', fontWeight: '600' },
])

/**
 * A text editor. It lives in a shadow root, where its styles are adopted sheets: a style element in the page the content security
 * policy would refuse. `extensions` bring a language, completion, checks; they are taken once. `onView` is given CodeMirror's view, once.
 */
export default function Editor({ label, value, onChange, extensions, readOnly, onView }: { label: string; value: string; onChange?: (value: string) => void; extensions?: Extension[]; readOnly?: boolean; onView?: (view: EditorView) => void }) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(undefined)
  const told = useRef(onChange)
  told.current = onChange
  const [locked] = useState(() => new Compartment()) // whether one may write can become known later
  useEffect(() => {
    const root = host.current!.shadowRoot ?? host.current!.attachShadow({ mode: 'open' })
    const made = new EditorView({
      root, parent: root as unknown as Element,
      state: EditorState.create({
        doc: value,
        extensions: [
          lineNumbers(), history(), indentOnInput(), bracketMatching(), syntaxHighlighting(colours), look, EditorView.lineWrapping,
          keymap.of([...defaultKeymap, ...historyKeymap]), ...(extensions ?? [json(), linter(jsonParseLinter())]), locked.of(EditorState.readOnly.of(!!readOnly)),
          EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0', spellcheck: 'false', autocorrect: 'off', autocapitalize: 'off' }),
          EditorView.updateListener.of((u) => { if (u.docChanged) told.current?.(u.state.doc.toString()) }),
        ],
      }),
    })
    view.current = made
    onView?.(made)
    return () => made.destroy()
    // The editor owns its text from here on; the next effect takes over what comes from outside.
  }, [])
  useEffect(() => {
    const now = view.current
    if (now && now.state.doc.toString() !== value) now.dispatch({ changes: { from: 0, to: now.state.doc.length, insert: value } })
  }, [value])
  useEffect(() => view.current?.dispatch({ effects: locked.reconfigure(EditorState.readOnly.of(!!readOnly)) }), [readOnly, locked])
  return <div ref={host} />
}
