import { autocompletion, completionKeymap, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete'
import { StreamLanguage } from '@codemirror/language'
import { linter, setDiagnostics, type Diagnostic } from '@codemirror/lint'
import { type Extension } from '@codemirror/state'
import { keymap, type EditorView } from '@codemirror/view'

const blocks = new Set(['path'])
const keys = new Set(['capabilities', 'allowed_parameters', 'denied_parameters', 'required_parameters', 'min_wrapping_ttl', 'max_wrapping_ttl', 'subscribe_event_types', 'policy', 'name'])

/** The colours of HCL, as far as policies use it. */
export const hcl = StreamLanguage.define<{ comment: boolean }>({
  name: 'hcl',
  startState: () => ({ comment: false }),
  token(stream, state) {
    if (state.comment) {
      if (stream.skipTo('*/')) { stream.match('*/'); state.comment = false } else stream.skipToEnd()
      return 'comment'
    }
    if (stream.eatSpace()) return null
    if (stream.match('/*')) { state.comment = true; return 'comment' }
    if (stream.match('#') || stream.match('//')) { stream.skipToEnd(); return 'comment' }
    if (stream.match(/^"(?:[^"\\]|\\.)*"?/)) return 'string'
    if (stream.match(/^-?\d+(\.\d+)?[a-z]*/)) return 'number'
    const word = stream.match(/^[A-Za-z_][\w-]*/) as RegExpMatchArray | null
    if (word) return blocks.has(word[0]) ? 'keyword' : keys.has(word[0]) ? 'propertyName' : /^(true|false|null)$/.test(word[0]) ? 'atom' : 'variableName'
    stream.next()
    return null
  },
  languageData: { commentTokens: { line: '#', block: { open: '/*', close: '*/' } }, closeBrackets: { brackets: ['{', '[', '"'] } },
})

const capabilities: [string, string][] = [
  ['create', 'write what does not exist yet'], ['read', 'read'], ['update', 'write'], ['patch', 'change a part'], ['delete', 'delete'], ['list', 'list names'],
  ['sudo', 'paths of the root kind too'], ['deny', 'nothing, whatever else allows it'], ['subscribe', 'events of these paths'],
]
const options = (pairs: [string, string][], type: string): Completion[] => pairs.map(([label, detail]) => ({ label, detail, type }))

/** Completes the paths of a policy from `paths()`, its keys and its capabilities. */
export function completePolicy(paths: () => { path: string; about: string }[]): Extension {
  const complete = (context: CompletionContext): CompletionResult | null => {
    const before = context.state.sliceDoc(context.state.doc.lineAt(context.pos).from, context.pos)
    const path = /\bpath\s+"([^"]*)$/.exec(before)
    if (path) return { from: context.pos - path[1]!.length, options: paths().map((p) => ({ label: p.path, detail: p.about, type: 'property' })), validFor: /^[^"]*$/ }
    const recent = context.state.sliceDoc(Math.max(0, context.pos - 400), context.pos)
    const capability = /capabilities\s*=\s*\[[^\]]*"(\w*)$/.exec(recent)
    if (capability) return { from: context.pos - capability[1]!.length, options: options(capabilities, 'enum'), validFor: /^\w*$/ }
    const word = context.matchBefore(/\w+/)
    if (!word && !context.explicit || /"[^"]*$/.test(before)) return null
    const inside = /\{[^}]*$/.test(recent)
    return {
      from: word?.from ?? context.pos, validFor: /^\w*$/,
      options: inside ? [{ label: 'capabilities', type: 'property', apply: 'capabilities = ["read"]' }, ...[...keys].filter((k) => k !== 'capabilities' && k !== 'name').map((label) => ({ label, type: 'property' }))]
        : [{ label: 'path', type: 'keyword', apply: 'path "' }],
    }
  }
  return [autocompletion({ override: [complete] }), keymap.of(completionKeymap)]
}

/** Shows messages at lines; see `mark`. */
export const marks: Extension = linter(null)

/** Marks lines, counted from 1; none takes the marks away. */
export function mark(view: EditorView, at: { line: number; text: string }[]) {
  const { doc } = view.state
  const found = at.map(({ line, text }): Diagnostic => {
    const l = doc.line(Math.min(Math.max(line, 1), doc.lines))
    return { from: l.from, to: l.to, severity: 'error', message: text }
  })
  view.dispatch(setDiagnostics(view.state, found))
  if (found[0]) view.dispatch({ selection: { anchor: found[0].from }, scrollIntoView: true })
}
