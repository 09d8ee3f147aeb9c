import { useState } from 'react'
import { encodePath } from '../../api/client'
import { CopyButton, TextField } from '../../kit'
import { at, type Kv } from './kv'
import { cli, curl, kubeName, manifest, policy } from './snippets'

function Snippet({ title, text }: { title: string; text: string }) {
  return <section className="stack-s"><h2>{title}</h2><div className="snippet"><pre tabIndex={0} aria-label={title}>{text}</pre><CopyButton text={text} what={title} /></div></section>
}

/** How programs and people get this secret: none of these texts holds a value of it. */
export function Use({ kv, path, keys }: { kv: Kv; path: string; keys: string[] }) {
  const base = kubeName(path.split('/').at(-1) ?? path)
  const [name, setName] = useState(base)
  const [namespace, setNamespace] = useState('default')
  const [role, setRole] = useState('my-role')
  const [address, setAddress] = useState('http://vault.vault:8200')
  return (
    <div className="stack-l">
      <section className="stack" aria-label="Kubernetes">
        <h2>Kubernetes: a VaultSecret for this secret</h2>
        <div className="columns narrow">
          <TextField label="Name" value={name} onChange={setName} code /><TextField label="Namespace" value={namespace} onChange={setNamespace} code />
          <TextField label="Role" value={role} onChange={setRole} code /><TextField label="Address in the cluster" value={address} onChange={setAddress} code />
        </div>
        <div className="snippet"><pre tabIndex={0} aria-label="VaultSecret manifest">{manifest(kv, path, keys, { name, namespace, role, address })}</pre><CopyButton text={manifest(kv, path, keys, { name, namespace, role, address })} what="the manifest" /></div>
      </section>
      <Snippet title="Policy that the role needs" text={policy(at.data(kv, path))} />
      <Snippet title="Command line" text={cli(kv, path)} />
      <Snippet title="HTTP API" text={curl(location.origin, encodePath(at.data(kv, path)))} />
    </div>
  )
}
