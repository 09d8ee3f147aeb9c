import { queryOptions } from '@tanstack/react-query'
import { list, read } from '../../api/client'
import { isMissing } from '../../api/errors'
import type { NamedPkiIssuerListed, PkiIssuerInfo, PkiStoredInfo } from '../../api/generated'

/** How many certificates are listed: an authority may have made a hundred thousand. */
export const shown = 100

export const issuers = (mount: string) => queryOptions({
  queryKey: ['pki', mount, 'issuers'],
  queryFn: async ({ signal }) => {
    try {
      const { data } = await read<NamedPkiIssuerListed>(`${mount}issuers`, { signal, query: { list: true } })
      return data.keys.map((id) => ({ id, ...data.key_info[id]! }))
    } catch (e) {
      if (isMissing(e)) return []
      throw e
    }
  },
})
export const names = (mount: string, what: 'roles' | 'certs') => queryOptions({ queryKey: ['pki', mount, what], queryFn: ({ signal }) => list(mount + what, { signal }) })
export const issuer = (mount: string, id: string) => queryOptions({ queryKey: ['pki', mount, 'issuers', id], queryFn: async ({ signal }) => (await read<PkiIssuerInfo>(`${mount}issuer/${id}`, { signal })).data })
export const role = (mount: string, name: string) => queryOptions({ queryKey: ['pki', mount, 'roles', name], queryFn: async ({ signal }) => (await read<Record<string, unknown>>(`${mount}roles/${name}`, { signal })).data })
export const certificate = (mount: string, serial: string) => queryOptions({ queryKey: ['pki', mount, 'certs', serial], queryFn: async ({ signal }) => (await read<PkiStoredInfo>(`${mount}cert/${serial}`, { signal })).data })
