import { queryOptions } from '@tanstack/react-query'
import { request } from './client'

// The server describes its own API; forms are made of that, so that a new field of an engine needs no new page.

export interface Property { type?: 'string' | 'integer' | 'boolean' | 'array' | 'object'; format?: string; description?: string; default?: unknown; items?: { type: string } }
export interface Schema { properties: Record<string, Property>; required?: string[] }
interface Document {
  paths: Record<string, { description?: string; post?: { requestBody?: { content: Record<string, { schema: { $ref: string } }> } } }>
  components: { schemas: Record<string, Schema> }
}

export const document = queryOptions({ queryKey: ['openapi'], queryFn: () => request<Document>('GET', 'sys/internal/specs/openapi'), staleTime: 5 * 60_000 })

/** What a write to `path` takes. Path is as the document spells it: "/sys/mounts/{path}", or "/auth/kubernetes/role/{name}". */
export const requestSchema = (path: string) => queryOptions({
  ...document,
  select: (doc: Document): Schema => {
    const ref = doc.paths[path]?.post?.requestBody?.content['application/json']?.schema.$ref.split('/').at(-1)
    return (ref && doc.components.schemas[ref]) || { properties: {} }
  },
})
