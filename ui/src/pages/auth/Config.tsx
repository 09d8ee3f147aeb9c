import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { write } from '../../api/client'
import { useMay } from '../../api/queries'
import { requestSchema, type Schema } from '../../api/schema'
import { Note, toast } from '../../kit'
import { ActForm, Loaded } from '../../kit/parts'
import { current, initial, isSecret, SchemaForm, toBody, type Values } from '../../kit/SchemaForm'
import { settings } from './methods'

/** How a method is configured. A save sends every field, because a write replaces the configuration. */
export function Config({ at }: { at: string }) {
  const client = useQueryClient()
  const path = `auth/${at}/config`
  const described = useQuery(requestSchema(`/${path}`))
  const found = useQuery(settings(path))
  const [typed, setTyped] = useState<Values>()
  const may = useMay(path, 'update')
  // Secrets that were written before are not shown again: the server says at most that there is one.
  const kept = (schema: Schema, now: Record<string, unknown> | null) => now ? Object.keys(schema.properties).filter((f) => isSecret(f) && now[f + '_set'] !== false && (f !== 'oidc_client_secret' || now.oidc_client_id)) : []
  return <Loaded of={described}>{(schema) => <Loaded of={found}>{(now) => (
    <div className="card pad">
      <ActForm action="Save configuration" unsaved={!!typed} disabled={!may} onSubmit={async () => {
        await write(path, toBody(schema, typed ?? initial(schema, now ?? {}), now ?? {}))
        await client.invalidateQueries({ queryKey: ['auth', path] })
        setTyped(undefined)
        toast('Configuration saved. Test a login to see whether it works.')
      }}>
        {now === null && <Note>This method is not configured yet.</Note>}
        {kept(schema, now).map((k) => <Note key={k} kind="warn">{k} is kept but never shown. Enter it again when you save, or it is dropped.</Note>)}
        <div className="form-grid"><SchemaForm schema={schema} values={typed ?? initial(schema, now ?? {})} onChange={setTyped} only={current(schema)} /></div>
        {!may && <Note>Your token may read this configuration, not change it.</Note>}
      </ActForm>
    </div>
  )}</Loaded>}</Loaded>
}
