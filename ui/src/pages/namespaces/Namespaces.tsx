import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { read, remove, write } from '../../api/client'
import { isMissing } from '../../api/errors'
import type { NamedSysNamespaceInfo } from '../../api/generated'
import { useMay, useNamespace } from '../../api/queries'
import { session } from '../../api/session'
import { Button, Confirm, Dialog, Empty, Loading, PageHead, Problem, Table, TextArea, TextField, toast } from '../../kit'
import { ActForm } from '../../kit/parts'
import { lines, pairs } from '../identity/identity'

/** The namespaces directly below the one that the reader is in. */
export default function Namespaces() {
  const client = useQueryClient()
  const here = useNamespace()
  const { data, error, refetch } = useQuery({
    queryKey: ['namespaces', 'below', here],
    queryFn: async ({ signal }) => {
      try {
        const answer = (await read<NamedSysNamespaceInfo>('sys/namespaces', { query: { list: true }, signal })).data
        return answer.keys.map((name) => ({ ...answer.key_info[name]!, name: name.replace(/\/$/, '') }))
      } catch (e) {
        if (isMissing(e)) return []
        throw e
      }
    },
  })
  const [creating, create] = useState(false)
  const [ending, end] = useState('')
  const [name, setName] = useState('')
  const [metadata, setMetadata] = useState('')
  const mayCreate = useMay('sys/namespaces/new', 'create')
  const mayDelete = useMay('sys/namespaces/any', 'delete')
  const changed = () => client.invalidateQueries({ queryKey: ['namespaces'] })
  const enter = (to: string) => { session.setNamespace(to); void client.invalidateQueries() }
  return (
    <div>
      <PageHead title="Namespaces" about={here ? <>Below <strong>{here}</strong>. Each has mounts, policies, identities and tokens of its own.</> : 'Parts of the server with mounts, policies, identities and tokens of their own.'}>
        {here && <Button icon="left" onPress={() => enter(here.split('/').slice(0, -1).join('/'))}>Up</Button>}
        {mayCreate && <Button look="primary" icon="plus" onPress={() => create(true)} data-create>Create namespace</Button>}
      </PageHead>
      {error ? <Problem error={error} retry={() => void refetch()} /> : !data ? <Loading /> : <div className="card">
        <Table label="Namespaces" rows={data} id={(n) => n.path} empty={<Empty icon="folder" title="No namespaces here"><p>Most need none: policies keep teams apart too.</p></Empty>} columns={[
          { head: 'Name', cell: (n) => <button type="button" className="link" onClick={() => enter((here ? here + '/' : '') + n.name)}>{n.name}/</button> },
          { head: 'Metadata', cell: (n) => <span className="muted break">{lines(n.custom_metadata).replaceAll('\n', ', ')}</span> },
          { head: 'ID', cell: (n) => <code>{n.id}</code> },
          { head: 'Actions', hideHead: true, right: true, cell: (n) => mayDelete && <Button small look="quiet" icon="trash" aria-label={`Delete ${n.name}`} onPress={() => end(n.name)} /> },
        ]} /></div>}
      {creating && <Dialog title="Create a namespace" onClose={() => create(false)}>
        <ActForm action="Create" cancel={() => create(false)} disabled={!name.trim()} onSubmit={async () => {
          await write(`sys/namespaces/${name.trim()}`, { custom_metadata: pairs(metadata) })
          await changed()
          toast(`${name.trim()}/ created.`)
          setName('')
          create(false)
        }}>
          <TextField label="Name" hint="One part of a path: no slash." value={name} onChange={setName} code autoFocus required />
          <TextArea label="Metadata" hint="key=value, one a line." value={metadata} onChange={setMetadata} rows={2} code />
        </ActForm>
      </Dialog>}
      {ending && <Confirm title={`Delete ${ending}/?`} action="Delete" typed={ending} onClose={() => end('')} run={() => remove(`sys/namespaces/${ending}`).then(changed)}>
        Everything in it goes: secrets, policies, tokens, and what was lent. Nothing can bring it back.</Confirm>}
    </div>
  )
}
