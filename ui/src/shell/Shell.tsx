import { useQueries, useQuery } from '@tanstack/react-query'
import { Link, Outlet, useRouterState } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { leave } from '../api/auth'
import { allows, capabilities, sealStatus, useNamespace, useSession } from '../api/queries'
import { Button, Icon, Mark, Menu } from '../kit'
import { NamespacePicker } from './NamespacePicker'
import { nav } from './nav'
import { Shortcuts } from './Shortcuts'
import { setTheme, useTheme } from './theme'
import './shell.css'

/** What is around every page once someone has signed in. */
export function Shell() {
  const [open, setOpen] = useState(false)
  const path = useRouterState({ select: (s) => s.location.pathname })
  const main = useRef<HTMLElement>(null)
  useEffect(() => setOpen(false), [path])
  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current?.focus() }}>Skip to the content</a>
      <header className="top">
        <Button look="quiet" icon={open ? 'close' : 'menu'} aria-label={open ? 'Close the menu' : 'Open the menu'} aria-expanded={open} className="menu-button" onPress={() => setOpen(!open)} />
        <Link to="/secrets" className="brand"><Mark size={26} /><span>Strongroom</span></Link>
        <div className="grow" />
        <NamespacePicker />
        <ThemeButton />
        <Account />
      </header>
      <nav className={open ? 'side open' : 'side'} aria-label="Main" onClick={() => setOpen(false)}>
        <Navigation />
        <ClusterName />
      </nav>
      <main id="main" ref={main} tabIndex={-1}><Outlet /></main>
      <Shortcuts />
    </div>
  )
}

function Navigation() {
  const checked = nav.flatMap((s) => s.entries).filter((e) => e.path)
  const answers = useQueries({ queries: checked.map((e) => capabilities([e.path!])) })
  const offered = (e: (typeof checked)[number]) => !e.path || allows(answers[checked.indexOf(e)]?.data?.[e.path], e.needs ?? 'read')
  return nav.map(({ section, entries }) => {
    const shown = entries.filter(offered)
    return shown.length > 0 && (
      <div key={section} className="side-section">
        <h2>{section}</h2>
        <ul>{shown.map((e) => <li key={e.to}><Link to={e.to} className="side-link" activeProps={{ className: 'active', 'aria-current': 'page' }}><Icon name={e.icon} />{e.label}</Link></li>)}</ul>
      </div>
    )
  })
}

function ClusterName() {
  const { data } = useQuery(sealStatus)
  return <p className="side-foot">{data?.cluster_name}<br />{data && `Strongroom ${data.version}`}</p>
}

function ThemeButton() {
  const theme = useTheme()
  return <Button look="quiet" icon={theme === 'dark' ? 'sun' : 'moon'} aria-label={theme === 'dark' ? 'Use the light theme' : 'Use the dark theme'} onPress={() => setTheme(theme === 'dark' ? 'light' : 'dark')} />
}

function Account() {
  const state = useSession()
  useNamespace()
  if (state.kind === 'out') return null
  const { who } = state
  return (
    <Menu label="Your session" look="quiet" entries={[{ label: 'Sign out', icon: 'out', run: () => void leave(who) }]}>
      <Icon name="user" /><span className="account-name">{who.name}</span>
    </Menu>
  )
}
