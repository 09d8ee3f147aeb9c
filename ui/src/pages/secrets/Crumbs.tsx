import { Link } from '@tanstack/react-router'
import { Fragment } from 'react'
import { Icon } from '../../kit'

/** The way from all engines down to the folder that a path is in; with `self`, the path itself as a link too. */
export function Crumbs({ mount, path, self }: { mount: string; path: string; self?: boolean }) {
  const parts = path.split('/').filter(Boolean)
  const folders = path.endsWith('/') || path === '' ? parts.slice(0, -1) : parts.slice(0, -1)
  const name = parts.at(-1)
  return (
    <nav className="crumbs" aria-label="Where this is">
      <ol>
        <li><Link to="/secrets">Secrets</Link></li>
        {path !== '' && <li><Icon name="right" size={12} /><Link to="/secrets/$mount/list/$" params={{ mount, _splat: '' }}>{mount}</Link></li>}
        {folders.map((f, i) => (
          <Fragment key={i}><li><Icon name="right" size={12} /><Link to="/secrets/$mount/list/$" params={{ mount, _splat: folders.slice(0, i + 1).join('/') + '/' }}>{f}</Link></li></Fragment>
        ))}
        {self && name && <li><Icon name="right" size={12} /><Link to="/secrets/$mount/show/$" params={{ mount, _splat: path }}>{name}</Link></li>}
      </ol>
    </nav>
  )
}
