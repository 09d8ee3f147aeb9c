import './parts.css'
import { Link, type LinkProps } from '@tanstack/react-router'
import { useState, type FormEvent, type ReactNode } from 'react'
import { Tab, TabList, TabPanel, Tabs as AriaTabs } from 'react-aria-components'
import { Button, CopyButton, Icon, Problem } from '.'
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
  return <dl className="facts">{of.filter(([, v]) => v !== undefined && v !== null && v !== '').flatMap(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={name + ' '}>{value}</dd>])}</dl>
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
 * Parts of a page of which one is shown. What is not shown is not asked for. Until one is chosen it is the first, also when that comes
 * later than others, as what the reader may do becomes known. `at` and `onAt` are for pages that choose themselves.
 */
export function Tabs({ label, tabs, at, onAt }: { label: string; tabs: (TabOf | false | undefined)[]; at?: string; onAt?: (id: string) => void }) {
  const have = tabs.filter((t): t is TabOf => !!t)
  const [own, setOwn] = useState<string>()
  const chosen = at ?? own
  const shown = have.find((t) => t.id === chosen) ?? have[0]
  if (!shown) return null
  const choose = (id: string) => { if (id !== shown.id) (onAt ?? setOwn)(id) }
  return (
    <AriaTabs className="tabs" selectedKey={shown.id} onSelectionChange={(k) => choose(String(k))}>
      <TabList aria-label={label}>{have.map((t) => <Tab key={t.id} id={t.id}>{t.label}</Tab>)}</TabList>
      {have.map((t) => <TabPanel key={t.id} id={t.id}>{t.show()}</TabPanel>)}
    </AriaTabs>
  )
}

/** A form with its button and, below the fields, why it was refused. `onSubmit` does the work. */
export function ActForm({ action, onSubmit, children, disabled, label, cancel, look = 'primary' }: {
  action: string; onSubmit: () => Promise<unknown>; children: ReactNode; disabled?: boolean; label?: string; cancel?: () => void; look?: 'primary' | 'danger'
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
