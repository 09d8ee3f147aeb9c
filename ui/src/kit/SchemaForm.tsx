import type { Schema } from '../api/schema'
import { Check, SecretField, TextArea, TextField } from '.'

/** What is typed, by field: text as the field takes it, lists a line each, objects as JSON, and "true" or "false". */
export type Values = Record<string, string>

/** A field's name, as its label. */
export const words = (name: string) => { const s = name.replaceAll('_', ' ').replace(/\b(ttl|id|db|url|ca|pem|cidrs|jwt|oidc|ocsp|tls|dns|uri)\b/g, (w) => w === 'cidrs' ? 'CIDRs' : w.toUpperCase()); return s[0]!.toUpperCase() + s.slice(1) }
const shown = (v: unknown) => v === undefined || v === null ? '' : Array.isArray(v) ? v.join('\n') : typeof v === 'object' ? JSON.stringify(v, null, 2) : String(v)

/** Fields whose values are masked. */
export const isSecret = (name: string) => /(^|_)(password|password_hash|secret|reviewer_jwt|bindpass)$/.test(name)
const isPem = (name: string) => /(_ca_cert|_ca_pem|^certificate|^tls_ca|^tls_certificate|^private_key)$/.test(name)

/** Fields that are worth asking for: not those that are there for old clients only, or for what this server has not. */
export const current = (schema: Schema): string[] => Object.keys(schema.properties).filter((n) => !/^(Old name of|Kept for compat|Not supported)|not supported yet/.test(schema.properties[n]!.description ?? '')).sort()

/** The values that a form begins with: what is there, else the defaults. */
export function initial(schema: Schema, have: Record<string, unknown>): Values {
  return Object.fromEntries(Object.entries(schema.properties).map(([name, p]) => [name, shown(have[name] ?? p.default)]))
}

/** The request's body; fields left empty are left out, unless they had something before (`had`). Throws Error for what is no number or no JSON. */
export function toBody(schema: Schema, values: Values, had: Record<string, unknown> = {}): Record<string, unknown> {
  const body: Record<string, unknown> = {}
  for (const [name, text] of Object.entries(values)) {
    const p = schema.properties[name]
    if (!p || (text.trim() === '' && shown(had[name]) === '')) continue
    if (p.type === 'boolean') body[name] = text === 'true'
    else if (p.type === 'array' && text.includes('-----BEGIN')) body[name] = text.split(/(?<=-----END [^-]+-----)/).map((l) => l.trim()).filter(Boolean)
    else if (p.type === 'array') body[name] = text.split('\n').map((l) => l.trim()).filter(Boolean)
    else if (p.type === 'object' && text.trim()) {
      try { body[name] = JSON.parse(text) } catch { throw new Error(`${words(name)} is not JSON: write it as { "key": "value" }.`) }
    } else if (p.type === 'integer' && text.trim()) {
      if (!/^-?\d+$/.test(text.trim())) throw new Error(`${words(name)} must be a whole number.`)
      body[name] = Number(text)
    } else body[name] = text
  }
  return body
}

/** Fields for what the server says that a request takes. `skip` leaves some out, `only` names and orders those shown; `first` come before them. */
export function SchemaForm({ schema, values, onChange, skip = [], only, first = [] }: {
  schema: Schema; values: Values; onChange: (values: Values) => void; skip?: string[]; only?: string[]
  first?: { name: string; label: string; hint?: string; value: string; onChange: (v: string) => void }[]
}) {
  const names = only ?? Object.keys(schema.properties).filter((n) => !skip.includes(n)).sort()
  const set = (name: string) => (value: string) => onChange({ ...values, [name]: value })
  return (
    <>
      {first.map((f) => <TextField key={f.name} label={f.label} hint={f.hint} value={f.value} onChange={f.onChange} code />)}
      {names.map((name) => {
        const p = schema.properties[name]
        if (!p) return null
        const common = { label: words(name), hint: p.description, value: values[name] ?? '', onChange: set(name), required: schema.required?.includes(name) }
        if (p.type === 'boolean') return <Check key={name} checked={values[name] === 'true'} onChange={(on) => set(name)(String(on))}>{words(name)}{p.description && <span className="muted small"><br />{p.description}</span>}</Check>
        if (isSecret(name)) return <SecretField key={name} {...common} />
        if (isPem(name)) return <TextArea key={name} {...common} rows={3} code placeholder="-----BEGIN CERTIFICATE-----" />
        if (p.type === 'array') return <TextArea key={name} {...common} rows={2} hint={`${p.description ?? ''} One a line.`} code />
        if (p.type === 'object') return <TextArea key={name} {...common} rows={3} hint={`${p.description ?? ''} As JSON.`} code />
        return <TextField key={name} {...common} code={p.format === 'duration'} hint={p.format === 'duration' ? `${p.description ?? ''} Such as 30m or 24h.` : p.description} />
      })}
    </>
  )
}
