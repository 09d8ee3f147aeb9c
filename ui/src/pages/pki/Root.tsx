import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { write } from '../../api/client'
import type { PkiRootInfo } from '../../api/generated'
import { requestSchema } from '../../api/schema'
import { PageHead, toast } from '../../kit'
import { ActForm, Loaded } from '../../kit/parts'
import { initial, toBody, type Values } from '../../kit/SchemaForm'
import { Back } from './links'
import { Fold } from './Role'

/** Makes a root whose key never leaves the server. */
export function Root({ mount }: { mount: string }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const described = useQuery(requestSchema(`/${mount}root/generate/{type}`))
  const [typed, setTyped] = useState<Values>()
  return (
    <div>
      <PageHead above={<Back mount={mount} />} title="Create a root" about="A certificate that signs others. Its key is made here and never leaves the server; the command line can make one whose key is shown." />
      <Loaded of={described}>{(schema) => {
        const values = typed ?? initial(schema, { ttl: '87600h' })
        return <div className="card pad"><ActForm action="Create" unsaved={!!typed} disabled={!values.common_name?.trim()} onSubmit={async () => {
          const answer = await write<PkiRootInfo>(`${mount}root/generate/internal`, toBody(schema, values))
          answer.warnings?.forEach((w) => toast(w))
          await client.invalidateQueries({ queryKey: ['pki', mount] })
          void navigate({ to: '/secrets/$mount/show/$', params: { mount, _splat: `issuers/${answer.data.issuer_id}` }, ignoreBlocker: true })
        }}><Fold schema={schema} values={values} onChange={setTyped} skip={['type', 'format', 'private_key_format', 'exported']} first={['common_name', 'issuer_name', 'ttl', 'key_type', 'key_bits']} /></ActForm></div>
      }}</Loaded>
    </div>
  )
}
