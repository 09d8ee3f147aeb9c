import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Trail } from '../../kit/parts'

/** The way back from a page to its engine. */
export const Back = ({ mount }: { mount: string }) => <Trail steps={[{ label: 'Secrets', link: { to: '/secrets' } }, { label: mount, link: { to: '/secrets/$mount/list/$', params: { mount, _splat: '' } } }]} />

/** A link to a page of the engine. */
export const To = ({ mount, at, children, button }: { mount: string; at: string; children: ReactNode; button?: boolean }) =>
  <Link className={button ? 'button small' : 'break'} to="/secrets/$mount/show/$" params={{ mount, _splat: at }}>{children}</Link>

/** PEM texts, one below the other. */
export const joined = (pems: string[]) => pems.map((p) => p.trim()).join('\n')
