/** The server refused, or could not be asked: `status` is HTTP's, 0 when no answer came. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly texts: string[], readonly path: string, readonly data?: unknown) {
    super(texts.join('; ') || `HTTP ${status}`)
  }
  /** Whether the token is known to be no longer good, other than a token that may not do this. */
  get tokenGone() { return this.status === 403 && this.message.includes('invalid token') }
  get conflict() { return this.status === 400 && this.message.includes('check-and-set parameter did not match') }
}

/** Is this the answer that there is nothing? */
export const isMissing = (e: unknown) => e instanceof ApiError && e.status === 404
export const isForbidden = (e: unknown) => e instanceof ApiError && e.status === 403

// Servers list several errors as "2 errors occurred:\n\t* a\n\t* b\n\n".
function plain(text: string) {
  const items = [...text.matchAll(/^\s*\* (.*)$/gm)].map((m) => m[1])
  return items.length > 0 ? items.join('; ') : text.trim()
}

/** What happened, in the reader's words, and what to do next. */
export function explain(error: unknown): { what: string; next?: string } {
  if (!(error instanceof ApiError)) return { what: error instanceof Error ? error.message : String(error) }
  const text = error.texts.map(plain).filter(Boolean).join('; ')
  switch (error.status) {
    case 0:
      return { what: 'The server did not answer.', next: 'Check that it runs and that you are connected (a port-forward may have ended), then try again.' }
    case 403:
      return { what: `Your token may not do this${error.path ? ` (${error.path})` : ''}.`, next: 'Ask whoever manages policies to allow it, or sign in with another token.' }
    case 404:
      return { what: text || `Nothing is at ${error.path}.`, next: text ? undefined : 'It may have been removed meanwhile: go back and reload the list.' }
    case 413:
      return { what: text || 'This is larger than the server takes.' }
    case 429:
      return { what: text || 'Too many requests.', next: 'Wait a moment, then try again.' }
    case 503:
      return { what: text || 'The server cannot serve this now.', next: 'It may be sealed or choosing a new leader. Try again in a few seconds.' }
    default:
      return { what: text || `The server answered with HTTP ${error.status}.`, next: error.status >= 500 ? 'Try again; if it stays, look into the server\'s log.' : undefined }
  }
}
