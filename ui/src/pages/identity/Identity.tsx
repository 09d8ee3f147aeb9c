import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { write } from '../../api/client'
import type { SysEntityMade, SysGroupMade } from '../../api/generated'
import { useMay } from '../../api/queries'
import { Badge, Button, Dialog, Empty, PageHead, SearchField, Select, Table, TextField } from '../../kit'
import { ActForm, Loaded, Tabs } from '../../kit/parts'
import { named, type Of } from './identity'

/** Who callers are, beyond their tokens. */
export default function Identity() {
  const mayEntities = useMay('identity/entity/id', 'list')
  const mayGroups = useMay('identity/group/id', 'list')
  return (
    <div>
      <PageHead title="Entities and groups" about="An entity is one person or program, however it logs in. Groups give policies to many." />
      <Tabs label="About identity" tabs={[
        mayEntities && { id: 'entity', label: 'Entities', show: () => <List of="entity" /> },
        mayGroups && { id: 'group', label: 'Groups', show: () => <List of="group" /> },
      ]} />
    </div>
  )
}

const texts = { entity: ['entities', 'The first login by a method makes one.'], group: ['groups', 'A group gives policies to its members.'] } as const

function List({ of }: { of: Of }) {
  const found = useQuery(named(of))
  const [filter, setFilter] = useState('')
  const [creating, create] = useState(false)
  const mayCreate = useMay(`identity/${of}`, 'update')
  const data = found.data ?? []
  const wanted = filter.trim().toLowerCase()
  const rows = data.filter((r) => `${r.name} ${r.id} ${(r.aliases ?? []).map((a) => a.name).join(' ')}`.toLowerCase().includes(wanted))
  return (
    <Loaded of={found}>{() => <div className="stack">
      <div className="spread"><div className="grow"><SearchField label={`Filter ${data.length.toLocaleString('en')} ${texts[of][0]}`} value={filter} onChange={setFilter} /></div>
        {mayCreate && <Button look="primary" icon="plus" onPress={() => create(true)} data-create>Create {of}</Button>}</div>
      <div className="card"><Table label={texts[of][0]} rows={rows.slice(0, 500)} id={(r) => r.id} empty={<Empty icon="people" title={filter ? 'Nothing by that name' : `No ${texts[of][0]} yet`}><p>{texts[of][1]}</p></Empty>} columns={[
        { head: 'Name', cell: (r) => of === 'entity' ? <Link className="break" to="/identity/entity/$id" params={{ id: r.id }}>{r.name}</Link> : <Link className="break" to="/identity/group/$id" params={{ id: r.id }}>{r.name}</Link> },
        of === 'entity' ? { head: 'Logs in as', cell: (r) => <span className="row">{r.aliases?.map((a) => <Badge key={a.id}>{a.name} at {a.mount_path}</Badge>)}</span> }
          : { head: 'Members', cell: (r) => r.num_member_entities ?? 0 },
      ]} /></div>
      {rows.length > 500 && <p className="small muted">The first 500 of {rows.length.toLocaleString('en')}: filter for the others.</p>}
      {creating && <Create of={of} onClose={() => create(false)} />}
    </div>}</Loaded>
  )
}

function Create({ of, onClose }: { of: Of; onClose: () => void }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const [name, setName] = useState('')
  const [type, setType] = useState('internal')
  return (
    <Dialog title={`Create ${of === 'entity' ? 'an entity' : 'a group'}`} onClose={onClose}>
      <ActForm action="Create" cancel={onClose} disabled={!name.trim()} onSubmit={async () => {
        const { data } = await write<SysEntityMade | SysGroupMade>(`identity/${of}`, { name: name.trim(), ...(of === 'group' && { type }) })
        await client.invalidateQueries({ queryKey: ['identity'] })
        void navigate(of === 'entity' ? { to: '/identity/entity/$id', params: { id: data.id } } : { to: '/identity/group/$id', params: { id: data.id } })
      }}>
        <TextField label="Name" value={name} onChange={setName} autoFocus required />
        {of === 'group' && <Select label="Kind" value={type} onChange={setType} options={[{ value: 'internal', label: 'internal: members are chosen here' }, { value: 'external', label: 'external: an auth method says who is in it' }]} />}
      </ActForm>
    </Dialog>
  )
}
