import { useId, useState, type ComponentProps, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes } from 'react'
import { Button as AriaButton, Dialog as AriaDialog, Heading, Menu as AriaMenu, MenuItem, MenuTrigger, Modal, ModalOverlay, Popover, type ButtonProps } from 'react-aria-components'
import { explain } from '../api/errors'
import { Icon, type IconName } from './icons'
import { toast } from './toast'
import './kit.css'

export { Icon, Mark, type IconName } from './icons'
export { toast, Toasts } from './toast'

type Look = 'primary' | 'danger' | 'quiet'

/** A button; with `icon` and no children it needs an aria-label. `busy` says that its work is under way. */
export function Button({ look, icon, small, wide, busy, children, className, isDisabled, ...rest }: Omit<ButtonProps, 'children' | 'className'> & {
  look?: Look; icon?: IconName; small?: boolean; wide?: boolean; busy?: boolean; children?: ReactNode; className?: string
}) {
  const names = ['button', look, small && 'small', wide && 'wide', icon && !children && 'icon', className].filter(Boolean).join(' ')
  return (
    <AriaButton {...rest} className={names} isDisabled={isDisabled || busy}>
      {icon && <Icon name={icon} />}
      {busy ? 'Working…' : children}
    </AriaButton>
  )
}

/** What a field is called, what it is for and what is wrong with it, joined to its control. */
function Field({ label, hint, problem, id, children, hideLabel }: { label: string; hint?: ReactNode; problem?: string; id: string; children: ReactNode; hideLabel?: boolean }) {
  return (
    <div className="field">
      <label htmlFor={id} className={hideLabel ? 'visually-hidden' : undefined}>{label}</label>
      {children}
      {hint && <div className="hint" id={id + '-hint'}>{hint}</div>}
      {problem && <div className="problem" id={id + '-problem'} role="alert">{problem}</div>}
    </div>
  )
}

interface FieldProps { label: string; hint?: ReactNode; problem?: string; hideLabel?: boolean; code?: boolean }

function described(id: string, hint: unknown, problem: unknown) {
  return [hint && id + '-hint', problem && id + '-problem'].filter(Boolean).join(' ') || undefined
}

// No browser is to remember, correct or send away what is typed here.
const discreet = { autoCapitalize: 'none', autoComplete: 'off', autoCorrect: 'off', spellCheck: false } as const

export function TextField({ label, hint, problem, hideLabel, code, onChange, ...rest }: FieldProps & Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange'> & { onChange?: (value: string) => void }) {
  const id = useId()
  return (
    <Field {...{ label, hint, problem, id, hideLabel }}>
      <input {...discreet} {...rest} id={id} className={code ? 'input code' : 'input'} aria-invalid={!!problem} aria-describedby={described(id, hint, problem)} onChange={(e) => onChange?.(e.target.value)} />
    </Field>
  )
}

/** A field for what is secret: dots, until its owner wants to see it. */
export function SecretField({ label, hint, problem, hideLabel, onChange, ...rest }: FieldProps & Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange'> & { onChange?: (value: string) => void }) {
  const id = useId()
  const [shown, show] = useState(false)
  return (
    <Field {...{ label, hint, problem, id, hideLabel }}>
      <div className="input-group">
        <input {...discreet} {...rest} id={id} type={shown ? 'text' : 'password'} className="input code" aria-invalid={!!problem} aria-describedby={described(id, hint, problem)} onChange={(e) => onChange?.(e.target.value)} />
        <Button look="quiet" small icon={shown ? 'eyeOff' : 'eye'} aria-label={(shown ? 'Hide ' : 'Show ') + label} onPress={() => show(!shown)} />
      </div>
    </Field>
  )
}

export function TextArea({ label, hint, problem, hideLabel, code, onChange, ...rest }: FieldProps & Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, 'onChange'> & { onChange?: (value: string) => void }) {
  const id = useId()
  return (
    <Field {...{ label, hint, problem, id, hideLabel }}>
      <textarea {...discreet} {...rest} id={id} className={code ? 'input code' : 'input'} aria-invalid={!!problem} aria-describedby={described(id, hint, problem)} onChange={(e) => onChange?.(e.target.value)} />
    </Field>
  )
}

export function Select({ label, hint, problem, hideLabel, options, onChange, ...rest }: FieldProps & Omit<SelectHTMLAttributes<HTMLSelectElement>, 'onChange'> & {
  options: { value: string; label: string }[]; onChange?: (value: string) => void
}) {
  const id = useId()
  return (
    <Field {...{ label, hint, problem, id, hideLabel }}>
      <select {...rest} id={id} className="input" aria-describedby={described(id, hint, problem)} onChange={(e) => onChange?.(e.target.value)}>
        {options.map((o) => <option key={o.value} value={o.value}>{o.label}</option>)}
      </select>
    </Field>
  )
}

export function Check({ children, checked, onChange, ...rest }: { children: ReactNode; checked: boolean; onChange: (on: boolean) => void; 'aria-label'?: string }) {
  return (
    <label className="check">
      <input {...rest} type="checkbox" checked={checked} onChange={(e) => onChange(e.target.checked)} />
      <span>{children}</span>
    </label>
  )
}

/** Filters what is below it. The shortcut / leads to the page's first one. */
export function SearchField({ label, value, onChange, onKeyDown, placeholder }: { label: string; value: string; onChange: (value: string) => void; placeholder?: string; onKeyDown?: ComponentProps<'input'>['onKeyDown'] }) {
  return (
    <div className="search">
      <Icon name="search" />
      <input {...discreet} type="search" className="input" aria-label={label} placeholder={placeholder ?? label} value={value} onChange={(e) => onChange(e.target.value)} onKeyDown={onKeyDown} data-search />
    </div>
  )
}

/** Two to four choices of which one holds. */
export function Segments<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: { value: T; label: string }[]; onChange: (value: T) => void }) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map((o) => <button key={o.value} type="button" aria-pressed={o.value === value} onClick={() => onChange(o.value)}>{o.label}</button>)}
    </div>
  )
}

/** A window over the page. Escape and the close button end it, unless `locked`. `title` is its heading. */
export function Dialog({ title, onClose, children, wide, locked, alert }: { title: string; onClose: () => void; children: ReactNode; wide?: boolean; locked?: boolean; alert?: boolean }) {
  return (
    <ModalOverlay isOpen className="veil" isKeyboardDismissDisabled={locked} onOpenChange={(open) => { if (!open && !locked) onClose() }}>
      <Modal className={wide ? 'modal wide' : 'modal'}>
        <AriaDialog role={alert ? 'alertdialog' : 'dialog'}>
          <div className="spread">
            <Heading slot="title" level={2}>{title}</Heading>
            {!locked && <Button look="quiet" small icon="close" aria-label="Close" onPress={onClose} />}
          </div>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  )
}

/**
 * Asks before something that is hard to undo. `run` does it: while it runs the button says so, and when it fails the dialog stays and
 * says why. With `typed`, that word must be typed first.
 */
export function Confirm({ title, children, action, run, onClose, typed, look = 'danger' }: {
  title: string; children: ReactNode; action: string; run: () => Promise<unknown>; onClose: () => void; typed?: string; look?: Look
}) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const [word, setWord] = useState('')
  const go = async () => {
    setBusy(true)
    try {
      await run()
      onClose()
    } catch (e) {
      setProblem(e)
      setBusy(false)
    }
  }
  return (
    <Dialog title={title} onClose={onClose} alert>
      <div className="stack">
        <div className="muted">{children}</div>
        {typed && <TextField label={`Type ${typed} to go on`} value={word} onChange={setWord} code autoFocus />}
        {problem !== undefined && <Problem error={problem} />}
      </div>
      <div className="buttons">
        <Button onPress={onClose} autoFocus={!typed}>Cancel</Button>
        <Button look={look} busy={busy} isDisabled={typed !== undefined && word !== typed} onPress={go}>{action}</Button>
      </div>
    </Dialog>
  )
}

export interface MenuEntry { label: string; icon?: IconName; bad?: boolean; disabled?: boolean; run: () => void }

/** A button that opens a list of things to do. Without `children` it is three dots, and `label` names it. */
export function Menu({ label, entries, children, look, small }: { label: string; entries: MenuEntry[]; children?: ReactNode; look?: Look; small?: boolean }) {
  return (
    <MenuTrigger>
      <Button look={look ?? (children ? undefined : 'quiet')} small={small} icon={children ? undefined : 'more'} aria-label={children ? undefined : label}>
        {children && <>{children}<Icon name="down" size={14} /></>}
      </Button>
      <Popover className="popover" placement="bottom end">
        <AriaMenu aria-label={label} onAction={(key) => entries[Number(key)]?.run()}>
          {entries.map((e, i) => (
            <MenuItem key={i} id={String(i)} textValue={e.label} isDisabled={e.disabled} className={e.bad ? 'bad' : ''}>
              {e.icon && <Icon name={e.icon} />}{e.label}
            </MenuItem>
          ))}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  )
}

/** Puts text on the clipboard. A secret is taken off it again after a minute, if the browser lets us. */
export async function copy(text: string, what: string, secret = false) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    toast('The browser did not allow copying. Reveal the value and copy it by hand.', 'bad')
    return false
  }
  toast(secret ? `${what} copied. The clipboard is emptied in a minute.` : `${what} copied.`)
  if (secret) setTimeout(() => void navigator.clipboard.writeText('').catch(() => {}), 60_000)
  return true
}

export function CopyButton({ text, what, secret, label }: { text: string; what: string; secret?: boolean; label?: string }) {
  const [done, setDone] = useState(false)
  const run = async () => {
    if (await copy(text, what, secret)) {
      setDone(true)
      setTimeout(() => setDone(false), 1500)
    }
  }
  return <Button look={label ? undefined : 'quiet'} small icon={done ? 'check' : 'copy'} aria-label={label ? undefined : `Copy ${what}`} onPress={run}>{label}</Button>
}

/** Saves text as a file on the reader's machine. */
export function save(name: string, text: string, type = 'text/plain') {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  URL.revokeObjectURL(url)
}

export function Note({ kind = 'info', children }: { kind?: 'info' | 'good' | 'warn' | 'bad'; children: ReactNode }) {
  const icon = ({ info: 'info', good: 'check', warn: 'warn', bad: 'warn' } as const)[kind]
  return <div className={'note ' + kind} role={kind === 'bad' ? 'alert' : undefined}><Icon name={icon} /><div className="grow">{children}</div></div>
}

/** What went wrong and what to do next. */
export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const { what, next } = explain(error)
  return (
    <Note kind="bad">
      <p>{what}</p>
      {next && <p>{next}</p>}
      {retry && <p><Button small icon="refresh" onPress={retry}>Try again</Button></p>}
    </Note>
  )
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ReactNode }) {
  return <div className="empty"><Icon name={icon} size={28} /><h2>{title}</h2>{children}</div>
}

export function Badge({ kind, children }: { kind?: 'good' | 'bad' | 'warn' | 'accent'; children: ReactNode }) {
  return <span className={kind ? 'badge ' + kind : 'badge'}>{children}</span>
}

export function Loading({ what = 'Loading' }: { what?: string }) {
  return <div className="spinner" role="status">{what}…</div>
}

/** How many of how many, as a bar of parts and in words. */
export function Progress({ done, of, label }: { done: number; of: number; label: string }) {
  return (
    <div className="progress" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={of} aria-valuenow={done} aria-valuetext={`${done} of ${of}`}>
      {Array.from({ length: of }, (_, i) => <i key={i} className={i < done ? 'done' : ''} />)}
    </div>
  )
}

/** The heading of a page, with what leads back above it and what can be done beside it. */
export function PageHead({ title, above, children, about }: { title: ReactNode; above?: ReactNode; children?: ReactNode; about?: ReactNode }) {
  return (
    <header className="page-head">
      {above}
      <div className="spread"><h1>{title}</h1>{children && <div className="row">{children}</div>}</div>
      {about && <p className="muted">{about}</p>}
    </header>
  )
}

export interface Column<T> { head: string; cell: (row: T) => ReactNode; right?: boolean; hideHead?: boolean }

/** A table with headings. `label` names it for those who do not see it. */
export function Table<T>({ label, rows, columns, id, empty }: { label: string; rows: T[]; columns: Column<T>[]; id: (row: T) => string; empty?: ReactNode }) {
  if (rows.length === 0 && empty) return <>{empty}</>
  return (
    <div className="table-wrap" tabIndex={0} role="region" aria-label={label}>
      <table className="table">
        <thead><tr>{columns.map((c) => <th key={c.head} scope="col" className={c.right ? 'right' : ''}>{c.hideHead ? <span className="visually-hidden">{c.head}</span> : c.head}</th>)}</tr></thead>
        <tbody>{rows.map((row) => <tr key={id(row)}>{columns.map((c) => <td key={c.head} className={c.right ? 'actions' : ''}>{c.cell(row)}</td>)}</tr>)}</tbody>
      </table>
    </div>
  )
}
