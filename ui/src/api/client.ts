import { ApiError } from './errors'
import type { Envelope as Around, Keys } from './generated'
import { session } from './session'

export type { Auth, WrapInfo } from './generated'
/** What the server answers, with what it wraps around it. The types of data are in ./generated. */
export type Envelope<T> = Around & { data: T }

interface Options {
  body?: unknown
  /** A body that is sent as it is, instead of JSON. */
  file?: Blob
  query?: Record<string, string | number | boolean | undefined>
  /** A token other than the session's; '' sends none. */
  token?: string
  /** Seconds: the answer comes wrapped, for that long. */
  wrapSeconds?: number
  /** Another namespace than the session's; '' is the root. */
  namespace?: string
  signal?: AbortSignal
  headers?: Record<string, string>
}

/** Encodes each segment of a path and keeps its slashes: names of secrets may hold anything. */
export const encodePath = (path: string) => path.split('/').map(encodeURIComponent).join('/')

async function send(method: string, path: string, options: Options): Promise<Response> {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options.query ?? {})) if (value !== undefined) query.set(name, String(value))
  const headers: Record<string, string> = { 'X-Vault-Request': 'true', ...options.headers }
  const token = options.token ?? session.token()
  if (token) headers['X-Vault-Token'] = token
  const namespace = options.namespace ?? session.namespace()
  if (namespace) headers['X-Vault-Namespace'] = namespace
  if (options.wrapSeconds) headers['X-Vault-Wrap-TTL'] = `${options.wrapSeconds}s`
  if (options.body !== undefined) headers['Content-Type'] ??= method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
  const suffix = query.size > 0 ? '?' + query : ''
  try {
    return await fetch('/v1/' + encodePath(path) + suffix, {
      method, headers, body: options.file ?? (options.body === undefined ? undefined : JSON.stringify(options.body)),
      signal: options.signal, cache: 'no-store', credentials: 'omit', redirect: 'error',
    })
  } catch (e) {
    if (options.signal?.aborted) throw e
    throw new ApiError(0, [], path)
  }
}

async function fail(response: Response, path: string): Promise<ApiError> {
  const text = await response.text().catch(() => '')
  try {
    const body = JSON.parse(text) as { errors?: string[]; data?: unknown }
    return new ApiError(response.status, body.errors ?? [], path, body.data)
  } catch {
    return new ApiError(response.status, text && !text.startsWith('<') ? [text] : [], path)
  }
}

/**
 * Asks the API for `path`, which is below /v1/. When the session's token turns out to be gone, it waits until the reader has
 * signed in again, over the page, and asks once more: what a page was doing goes on. Throws ApiError.
 */
export async function request<T = unknown>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await raw(method, path, options)
  if (response.status === 204) return undefined as T
  return await response.json() as T
}

/** The same, for answers that are not JSON. */
export async function raw(method: string, path: string, options: Options = {}): Promise<Response> {
  for (;;) {
    const used = options.token ?? session.token()
    const response = await send(method, path, options)
    if (response.ok) return response
    const error = await fail(response, path)
    if (!error.tokenGone || options.token !== undefined || !used) throw error
    await session.replaced(used)
  }
}

export const read = <T>(path: string, options?: Options) => request<Envelope<T>>('GET', path, options)
export const write = <T = unknown>(path: string, body: unknown = {}, options?: Options) => request<Envelope<T>>('POST', path, { ...options, body })
export const remove = (path: string, options?: Options) => request<Envelope<unknown> | undefined>('DELETE', path, options)

/** The names at a path; none is an empty list, not an error. */
export async function list(path: string, options?: Options): Promise<string[]> {
  try {
    const answer = await read<Keys>(path.replace(/\/+$/, ''), { ...options, query: { ...options?.query, list: true } })
    return answer.data.keys ?? []
  } catch (e) {
    if (e instanceof ApiError && e.status === 404) return []
    throw e
  }
}
