import { useQuery } from '@tanstack/react-query'
import { Dialog, Modal, ModalOverlay } from 'react-aria-components'
import { lazy, Suspense, useEffect, useState, type ReactNode } from 'react'
import { adopt } from '../api/auth'
import { sealStatus, useSession } from '../api/queries'
import { session } from '../api/session'
import { Loading, Problem, Toasts } from '../kit'
import { Front } from './Front'
import { useWatch } from './watch'
import './shell.css'

const Init = lazy(() => import('../pages/start/Init'))
const Unseal = lazy(() => import('../pages/start/Unseal'))
const SignIn = lazy(() => import('../pages/start/SignIn'))

/**
 * Shows the pages to whom they are for, and what has to be done before that to everyone else. When a session ends or the node is
 * sealed, its page stays, unseen and untouched, until that is put right: nothing typed into it is lost.
 */
export function Gate({ children }: { children: ReactNode }) {
  const { data: status, error } = useQuery(sealStatus)
  const state = useSession()
  const restored = useRestored(status?.sealed === false)
  const [founding, setFounding] = useState(false) // the shares are on the screen: what the server says now must not take them away
  useWatch()

  if (!status) return <Front>{error ? <Problem error={error} /> : <Loading what="Asking the server" />}</Front>
  const front = founding || !status.initialized ? <Init onFounding={setFounding} />
    : status.sealed ? <Unseal status={status} />
      : !restored ? <Loading />
        : state.kind !== 'in' ? <SignIn key={state.kind} reason={state.reason} locked={state.kind === 'locked' ? state.who : undefined} />
          : null
  const keeps = status.initialized && state.kind !== 'out'
  return (
    <>
      {keeps && <div className={front ? 'held' : undefined} inert={!!front} aria-hidden={!!front || undefined}>{children}</div>}
      {front && <Over on={keeps}><Front version={status.version} cluster={status.cluster_name}><Suspense fallback={<Loading />}>{front}</Suspense></Front></Over>}
      <Toasts />
    </>
  )
}

/** Takes up the token that a reload left behind. False until that is decided. */
function useRestored(ready: boolean) {
  const [done, setDone] = useState(session.kept() === null)
  useEffect(() => {
    const token = session.kept()
    if (!ready || done) return
    if (token) adopt(token, { namespace: session.namespace(), page: session.namespace(), keep: true }).catch(() => session.signOut('Your session has ended: sign in again.')).finally(() => setDone(true))
    else setDone(true)
  }, [ready, done])
  return done
}

/** Lays what comes first over a page that waits. It is a dialog, so that it gets the focus even where the page has one open. */
function Over({ on, children }: { on: boolean; children: ReactNode }) {
  useEffect(() => {
    if (on) document.body.dataset.held = ''
    return () => { delete document.body.dataset.held }
  }, [on])
  if (!on) return children
  return (
    <ModalOverlay isOpen isKeyboardDismissDisabled className="over">
      <Modal><Dialog aria-label="Before you can go on">{children}</Dialog></Modal>
    </ModalOverlay>
  )
}
