import { useNavigate } from '@tanstack/react-router'
import { useState, type FormEvent } from 'react'
import { Button, TextField } from '../../kit'

/** For those who may read a secret but not list its folder. */
export function OpenPath({ mount, folder }: { mount: string; folder: string }) {
  const [path, setPath] = useState(folder)
  const navigate = useNavigate()
  const go = (e: FormEvent) => {
    e.preventDefault()
    if (path.trim()) void navigate({ to: path.endsWith('/') ? '/secrets/$mount/list/$' : '/secrets/$mount/show/$', params: { mount, _splat: path.trim() } })
  }
  return <form className="row-top open-path" onSubmit={go}><div className="grow"><TextField label="Path of the secret" hideLabel placeholder="path/of/the/secret" value={path} onChange={setPath} code /></div><Button type="submit">Open</Button></form>
}
