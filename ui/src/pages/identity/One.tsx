import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { remove, write } from '../../api/client'
import { isMissing } from '../../api/errors'
import type { SysAliasInfo } from '../../api/generated'
import { mounts, useMay } from '../../api/queries'
import { Badge, Button, Check, Confirm, Dialog, Empty, Note, PageHead, Select, Table, TextArea, TextField, toast } from '../../kit'
import { ActForm, Card, Facts, Loaded, Trail } from '../../kit/parts'
import { When } from '../../kit/When'
import { lines, named, one, pairs, words, type Entity, type Group, type Of } from './identity'
import { Pick } from './Pick'

export function EntityPage() { return <One of="entity" /> }
export function GroupPage() { return <One of="group" /> }

function One({ of }: { of: Of }) {
  const { id = '' } = useParams({ strict: false })
  const found = useQuery({ ...one<Entity & Group>(of, id), refetchOnWindowFocus: false })
  if (isMissing(found.error)) return <Empty icon="people" title={`There is no such ${of}`}><p>It may have been deleted or merged.</p></Empty>
  return <Loaded of={found}>{(it) => <Shown key={id} of={of} it={it} />}</Loaded>
}

function Shown({ of, it }: { of: Of; it: Entity & Group }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const path = `identity/${of}/id/${it.id}`
  const may = useMay(path, 'update')
  const mayDelete = useMay(path, 'delete')
  const mayMerge = useMay('identity/entity/merge', 'update')
  const [ask, setAsk] = useState<'delete' | 'merge'>()
  const changed = () => client.invalidateQueries({ queryKey: ['identity'] })
  return (
    <div>
      <PageHead above={<Trail steps={[{ label: 'Entities and groups', link: { to: '/identity' } }]} />} title={it.name}
        about={<span className="row">{it.disabled && <Badge kind="bad">disabled</Badge>}{of === 'group' && <Badge>{it.type}</Badge>}<code>{it.id}</code></span>}>
        {of === 'entity' && mayMerge && <Button onPress={() => setAsk('merge')}>Merge others into it…</Button>}
        {mayDelete && <Button icon="trash" onPress={() => setAsk('delete')}>Delete</Button>}
      </PageHead>
      <div className="stack">
        <Form of={of} it={it} may={may} onDone={changed} />
        {of === 'entity' ? <EntityAliases it={it} may={may} onDone={changed} /> : it.type === 'external' && <GroupAlias it={it} may={may} onDone={changed} />}
        {of === 'entity' && <Groups it={it} />}
      </div>
      {ask === 'delete' && <Confirm title={`Delete ${it.name}?`} action="Delete" typed={it.name} onClose={() => setAsk(undefined)} run={async () => {
        await remove(path)
        await client.invalidateQueries({ queryKey: ['identity'], refetchType: 'none' })
        void navigate({ to: '/identity', ignoreBlocker: true })
      }}>{of === 'entity' ? 'Its policies and memberships are gone at once. A login makes a new, empty one.' : 'Its members lose the policies that it gave, from the next request on.'}</Confirm>}
      {ask === 'merge' && <Merge into={it} onClose={() => setAsk(undefined)} onDone={changed} />}
    </div>
  )
}

function Form({ of, it, may, onDone }: { of: Of; it: Entity & Group; may: boolean; onDone: () => Promise<void> }) {
  const [name, setName] = useState(it.name)
  const [policies, setPolicies] = useState((it.policies ?? []).join('\n'))
  const [metadata, setMetadata] = useState(lines(it.metadata))
  const [disabled, setDisabled] = useState(it.disabled ?? false)
  const [entities, setEntities] = useState(it.member_entity_ids ?? [])
  const [groups, setGroups] = useState(it.member_group_ids ?? [])
  const internal = of === 'group' && it.type === 'internal'
  const body = () => ({
    name: name.trim(), policies: words(policies), metadata: pairs(metadata), ...(of === 'entity' ? { disabled } : { type: it.type }),
    ...(internal && { member_entity_ids: entities, member_group_ids: groups }),
  })
  const now = JSON.stringify([name, policies, metadata, disabled, entities, groups])
  const [saved, setSaved] = useState(now)
  return (
    <div className="card pad">
      <ActForm action="Save" label={of} unsaved={now !== saved} disabled={!may || !name.trim()} onSubmit={async () => {
        await write(`identity/${of}/id/${it.id}`, body())
        setSaved(now)
        await onDone()
        toast('Saved. It holds from the next request on.')
      }}>
        <div className="form-grid">
          <TextField label="Name" value={name} onChange={setName} />
          <TextArea label="Policies" hint="One a line, in addition to those of the token." value={policies} onChange={setPolicies} rows={2} code />
          <TextArea label="Metadata" hint="key=value, one a line." value={metadata} onChange={setMetadata} rows={2} code />
          {internal && <Pick label="Member entities" of="entity" value={entities} onChange={setEntities} disabled={!may} />}
          {internal && <Pick label="Member groups" of="group" value={groups} onChange={setGroups} without={it.id} disabled={!may} />}
        </div>
        {of === 'entity' && <Check checked={disabled} onChange={setDisabled}>Disabled: all its tokens are refused, and none are given</Check>}
        {!may && <Note>Your token may look at this, not change it.</Note>}
      </ActForm>
    </div>
  )
}

/** An alias to add, or one that is there: whom a method's logins are of. */
function AliasForm({ of, it, alias, onClose, onDone }: { of: Of; it: Entity | Group; alias?: Partial<SysAliasInfo>; onClose: () => void; onDone: () => Promise<void> }) {
  const { data } = useQuery(mounts)
  const [name, setName] = useState(alias?.name ?? '')
  const [chosen, setChosen] = useState(alias?.mount_accessor ?? '')
  const [metadata, setMetadata] = useState(lines(alias?.custom_metadata ?? null))
  const methods = Object.entries(data?.auth ?? {}).flatMap(([label, m]) => label !== 'token/' && m.accessor ? [{ value: m.accessor, label }] : []) // of a method that one may only know of, nothing is told
  const accessor = chosen || methods[0]?.value || ''
  return (
    <Dialog title={alias ? `Change ${alias.name}` : of === 'entity' ? 'Add an alias' : 'Group of the auth method'} onClose={onClose}>
      <ActForm action={alias ? 'Save' : 'Add'} cancel={onClose} disabled={!name.trim() || !accessor} onSubmit={async () => {
        await write(`identity/${of}-alias${alias ? `/id/${alias.id}` : ''}`, { name: name.trim(), mount_accessor: accessor, canonical_id: it.id, ...(of === 'entity' && { custom_metadata: pairs(metadata) }) })
        await onDone()
        onClose()
      }}>
        <Select label="Auth method" value={accessor} onChange={setChosen} options={methods} />
        <TextField label="Name there" hint="What the method calls them: a user name, the uid of a service account, a role ID, the name of a group." value={name} onChange={setName} code />
        {of === 'entity' && <TextArea label="Metadata of the alias" hint="key=value, one a line; templates of policies can name it." value={metadata} onChange={setMetadata} rows={2} code />}
      </ActForm>
    </Dialog>
  )
}

function EntityAliases({ it, may, onDone }: { it: Entity; may: boolean; onDone: () => Promise<void> }) {
  const [open, setOpen] = useState<SysAliasInfo | 'new'>()
  const [ending, end] = useState<SysAliasInfo>()
  return (
    <Card title="Logs in as" flush actions={may && <Button small icon="plus" onPress={() => setOpen('new')}>Add an alias</Button>}>
      <Table label="Aliases" rows={it.aliases ?? []} id={(a) => a.id} empty={<p className="card-body muted">Nobody logs in as this entity yet.</p>} columns={[
        { head: 'Name', cell: (a) => <span className="break">{a.name}</span> }, { head: 'At', cell: (a) => <code>{a.mount_path}</code> }, { head: 'Type', cell: (a) => a.mount_type },
        { head: 'Metadata', cell: (a) => <span className="muted break">{lines(a.custom_metadata ?? null).replaceAll('\n', ', ')}</span> },
        { head: 'Actions', hideHead: true, right: true, cell: (a) => may && <><Button small look="quiet" icon="edit" aria-label={`Change ${a.name}`} onPress={() => setOpen(a)} /><Button small look="quiet" icon="trash" aria-label={`Remove ${a.name}`} onPress={() => end(a)} /></> },
      ]} />
      {open && <AliasForm of="entity" it={it} alias={open === 'new' ? undefined : open} onClose={() => setOpen(undefined)} onDone={onDone} />}
      {ending && <Confirm title={`Remove ${ending.name}?`} action="Remove" onClose={() => end(undefined)} run={() => remove(`identity/entity-alias/id/${ending.id}`).then(onDone)}>Who logs in by that name gets a new entity.</Confirm>}
    </Card>
  )
}

function GroupAlias({ it, may, onDone }: { it: Group; may: boolean; onDone: () => Promise<void> }) {
  const [ask, setAsk] = useState<'change' | 'remove'>()
  const alias = it.alias?.id ? it.alias : undefined
  return (
    <Card title="Group of the auth method" actions={may && <><Button small onPress={() => setAsk('change')}>{alias ? 'Change it' : 'Set it'}</Button>{alias && <Button small onPress={() => setAsk('remove')}>Remove it</Button>}</>}>
      {alias ? <Facts of={[['Name', alias.name], ['At', alias.mount_path && <code>{alias.mount_path}</code>]]} /> : <p className="muted">An external group has the members that an auth method says. Say which group of which method this is.</p>}
      {ask === 'change' && <AliasForm of="group" it={it} alias={alias} onClose={() => setAsk(undefined)} onDone={onDone} />}
      {ask === 'remove' && alias && <Confirm title={`Remove ${alias.name}?`} action="Remove" onClose={() => setAsk(undefined)} run={() => remove(`identity/group-alias/id/${alias.id}`).then(onDone)}>Nobody is in this group from their next login on.</Confirm>}
    </Card>
  )
}

function Groups({ it }: { it: Entity }) {
  const { data } = useQuery(named('group'))
  const nameOf = (id: string) => data?.find((g) => g.id === id)?.name ?? id
  return (
    <Card title="About it"><Facts of={[
      ['Groups', (it.direct_group_ids ?? []).length > 0 ? <span className="row">{it.direct_group_ids.map((g) => <Badge key={g}>{nameOf(g)}</Badge>)}</span> : 'none'],
      ['Through those', (it.inherited_group_ids ?? []).length > 0 && <span className="row">{it.inherited_group_ids.map((g) => <Badge key={g}>{nameOf(g)}</Badge>)}</span>],
      ['Made', <When at={it.creation_time} />], ['Merged from', it.merged_entity_ids?.join(', ')],
    ]} /></Card>
  )
}

function Merge({ into, onClose, onDone }: { into: Entity; onClose: () => void; onDone: () => Promise<void> }) {
  const [from, setFrom] = useState<string[]>([])
  return (
    <Dialog title={`Merge into ${into.name}`} onClose={onClose}>
      <ActForm action="Merge" look="danger" cancel={onClose} disabled={from.length === 0} onSubmit={async () => {
        await write('identity/entity/merge', { to_entity_id: into.id, from_entity_ids: from })
        await onDone()
        toast('Merged.')
        onClose()
      }}>
        <p className="muted">Their aliases and memberships come over, and they are deleted. Their own policies are not taken over.</p>
        <Pick label="Entities to merge" of="entity" value={from} onChange={setFrom} without={into.id} />
      </ActForm>
    </Dialog>
  )
}
