import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api/errors'
import { session } from './api/session'
import { router } from './router'
import { applyTheme } from './shell/theme'
import './styles/tokens.css'
import './styles/base.css'

applyTheme()

// What the server refused, it would refuse again; what had no answer, or a leader under way, gets two more tries.
const passing = (e: unknown) => !(e instanceof ApiError) || e.status === 0 || e.status >= 500
const client = new QueryClient({
  defaultOptions: { queries: { retry: (count, e) => count < 2 && passing(e), staleTime: 5000, refetchOnWindowFocus: true } },
})

// What was read for one identity is not shown to another.
let reader = ''
session.subscribe(() => {
  const state = session.now()
  const own = { predicate: (q: { queryKey: readonly unknown[] }) => q.queryKey[0] !== 'seal-status' }
  if (state.kind === 'out') client.removeQueries(own)
  const name = state.kind === 'out' ? '' : `${state.who.path} ${state.who.name} ${state.who.policies.join()}`
  if (state.kind === 'in' && reader && reader !== name) { // the page stays, with what was typed into it; what it shows is asked for again
    client.removeQueries({ ...own, type: 'inactive' })
    void client.invalidateQueries(own)
  }
  reader = name
})

createRoot(document.getElementById('root')!).render(
  <StrictMode><QueryClientProvider client={client}><RouterProvider router={router} /></QueryClientProvider></StrictMode>,
)
