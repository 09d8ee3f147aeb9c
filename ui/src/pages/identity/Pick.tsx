import { useQuery } from '@tanstack/react-query'
import { Badge, Button, Select, TextField } from '../../kit'
import { named, type Of } from './identity'

/** Chooses several entities or groups by name. */
export function Pick({ label, of, value, onChange, without, disabled }: { label: string; of: Of; value: string[]; onChange: (ids: string[]) => void; without?: string; disabled?: boolean }) {
  const { data = [] } = useQuery(named(of))
  const nameOf = (id: string) => data.find((n) => n.id === id)?.name ?? id
  const left = data.filter((n) => n.id !== without && !value.includes(n.id))
  return (
    <div className="stack-s">
      <span className="label">{label}</span>
      {value.length > 0 && <div className="pick">{value.map((id) => disabled ? <Badge key={id}>{nameOf(id)}</Badge>
        : <span key={id} className="chip">{nameOf(id)}<Button look="quiet" small icon="close" aria-label={`Remove ${nameOf(id)}`} onPress={() => onChange(value.filter((v) => v !== id))} /></span>)}</div>}
      {!disabled && (data.length > 300 ? <AddById label={label} onAdd={(id) => onChange([...value, id])} />
        : <Select label={`Add to ${label.toLowerCase()}`} hideLabel value="" onChange={(id) => id && onChange([...value, id])} options={[{ value: '', label: left.length ? 'Add…' : 'Nobody is left to add' }, ...left.map((n) => ({ value: n.id, label: n.name }))]} />)}
    </div>
  )
}

function AddById({ label, onAdd }: { label: string; onAdd: (id: string) => void }) {
  return <TextField label={`Add to ${label.toLowerCase()}`} hideLabel placeholder="ID, then Enter" code onKeyDown={(e) => {
    if (e.key !== 'Enter') return
    e.preventDefault()
    if (e.currentTarget.value.trim()) onAdd(e.currentTarget.value.trim())
    e.currentTarget.value = ''
  }} />
}
