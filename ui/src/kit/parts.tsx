import './parts.css'
import { Link, useBlocker, type LinkProps } from '@tanstack/react-router'
import { Activity, useRef, useState, type FormEvent, type ReactNode } from 'react'
import { Tab, TabList, TabPanel, Tabs as AriaTabs } from 'react-aria-components'
import { isForbidden } from '../api/errors'
import { Button, Confirm, CopyButton, Icon, Loading, Problem } from '.'
import { useAct } from './useAct'

/** The way back up, above a page's heading. */
export function Trail({ steps }: { steps: { label: string; link: LinkProps }[] }) {
  return (
    <nav className="crumbs" aria-label="Where this is">
      <ol>{steps.map((s, i) => <li key={i}>{i > 0 && <Icon name="right" size={12} />}<Link {...s.link}>{s.label}</Link></li>)}</ol>
    </nav>
  )
}

/** What is known of a thing: a name and a value each. Without a value a line is left out. */
export function Facts({ of }: { of: [name: string, value: ReactNode][] }) {
  return <dl className="facts">{of.filter(([, v]) => v !== undefined && v !== null && v !== false && v !== '').flatMap(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={name + ' '}>{value}</dd>])}</dl>
}

/** A part of a page with a heading; `children` are padded unless `flush`. */
export function Card({ title, actions, children, flush, about }: { title: ReactNode; actions?: ReactNode; children: ReactNode; flush?: boolean; about?: ReactNode }) {
  return (
    <section className="card">
      <div className="card-head"><h2>{title}</h2>{actions && <div className="row">{actions}</div>}</div>
      {flush ? children : <div className="card-body">{about && <p className="muted">{about}</p>}{children}</div>}
    </section>
  )
}

export interface TabOf { id: string; label: string; show: () => ReactNode }

/**
 * Parts of a page of which one is shown. What was not shown yet is not there; what was is kept as its reader left it, with all that was
 * typed, but asks the server nothing meanwhile. Until one is chosen it is the first, also when that comes
 * later than others, as what the reader may do becomes known. `at` and `onAt` are for pages that choose themselves.
 */
export function Tabs({ label, tabs, at, onAt }: { label: string; tabs: (TabOf | false | undefined)[]; at?: string; onAt?: (id: string) => void }) {
  const have = tabs.filter((t): t is TabOf => !!t)
  const [own, setOwn] = useState<string>()
  const seen = useRef(new Set<string>())
  const chosen = at ?? own
  const shown = have.find((t) => t.id === chosen) ?? have[0]
  if (!shown) return null
  seen.current.add(shown.id)
  const choose = (id: string) => { if (id !== shown.id) (onAt ?? setOwn)(id) }
  return (
    <AriaTabs className="tabs" selectedKey={shown.id} onSelectionChange={(k) => choose(String(k))}>
      <TabList aria-label={label}>{have.map((t) => <Tab key={t.id} id={t.id}>{t.label}</Tab>)}</TabList>
      {have.filter((t) => seen.current.has(t.id)).map((t) => (
        <TabPanel key={t.id} id={t.id} shouldForceMount><Activity mode={t === shown ? 'visible' : 'hidden'}>{t.show()}</Activity></TabPanel>
      ))}
    </AriaTabs>
  )
}

/**
 * What a query answers; until it has, that it loads, or why it cannot. A later failure stands above what is there and takes nothing away
 * that was typed into it: whoever may not see it any more, signed in again as another, does not see it, and whoever may finds it as it was.
 */
export function Loaded<T>({ of: { data, error, refetch }, children }: { of: { data: T | undefined; error: unknown; refetch: () => unknown }; children: (data: T) => ReactNode }) {
  const problem = error ? <Problem error={error} retry={() => void refetch()} /> : null
  if (data === undefined) return problem ?? <Loading />
  return <>{problem}<Activity mode={isForbidden(error) ? 'hidden' : 'visible'}>{children(data)}</Activity></>
}

/** Asks before its reader leaves the page with something on it that is not saved. Who navigates after saving does so with ignoreBlocker. */
export function Unsaved({ when, children = 'What you typed here is not saved.' }: { when: boolean; children?: ReactNode }) {
  const leaving = useBlocker({ shouldBlockFn: () => when, enableBeforeUnload: () => when, withResolver: true })
  if (leaving.status !== 'blocked') return null
  return <Confirm title="Leave without saving?" action="Leave" run={async () => leaving.proceed()} onClose={leaving.reset}>{children}</Confirm>
}

/** A form with its button and, below the fields, why it was refused. `onSubmit` does the work. While `unsaved`, leaving the page asks first. */
export function ActForm({ action, onSubmit, children, disabled, label, cancel, unsaved = false, look = 'primary' }: {
  action: string; onSubmit: () => Promise<unknown>; children: ReactNode; disabled?: boolean; label?: string; cancel?: () => void; unsaved?: boolean; look?: 'primary' | 'danger'
}) {
  const act = useAct()
  const submit = (e: FormEvent) => { e.preventDefault(); void act.run(onSubmit) }
  return (
    <form className="stack" onSubmit={submit} aria-label={label ?? action}>
      {children}
      {act.problem !== undefined && <Problem error={act.problem} />}
      <div className="row">
        <Button type="submit" look={look} busy={act.busy} isDisabled={disabled}>{action}</Button>
        {cancel && <Button onPress={cancel}>Cancel</Button>}
      </div>
      <Unsaved when={unsaved} />
    </form>
  )
}

/** Text to copy and use elsewhere. */
export function Snippet({ title, text, plain }: { title: string; text: string; plain?: boolean }) {
  return <div className="code-box">{!plain && <h3>{title}</h3>}<pre tabIndex={0} aria-label={title}>{text}</pre><CopyButton text={text} what={title} /></div>
}

/** Seconds, as people say them: 90 is 1 min 30 s. */
export function seconds(n: number) {
  if (n <= 0) return '0 s'
  const parts = ([['d', 86400], ['h', 3600], ['min', 60], ['s', 1]] as const).reduce<{ left: number; out: string[] }>(({ left, out }, [unit, size]) => {
    const count = Math.floor(left / size)
    return { left: left - count * size, out: count > 0 ? [...out, `${count} ${unit}`] : out }
  }, { left: Math.round(n), out: [] })
  return parts.out.slice(0, 2).join(' ')
}

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
/** Bytes, as people say them. */
export function bytes(n: number) {
  const i = n < 1 ? 0 : Math.min(Math.floor(Math.log2(n) / 10), sizes.length - 1)
  return `${(n / 1024 ** i).toFixed(i === 0 || n / 1024 ** i >= 100 ? 0 : 1)} ${sizes[i]}`
}
