import { useEffect } from 'react'
import { renew } from '../api/auth'
import { session } from '../api/session'
import { idleMinutes } from './idle'

/** Renews the session's token while someone is there, and ends the session when nobody is, or when the token has expired. */
export function useWatch() {
  useEffect(() => {
    let seen = Date.now()
    let renewing = false
    const here = () => { seen = Date.now() }
    const signs = ['pointerdown', 'keydown', 'wheel', 'touchstart']
    signs.forEach((s) => addEventListener(s, here, { passive: true, capture: true }))
    const timer = setInterval(() => {
      const state = session.now()
      if (state.kind !== 'in') return
      const { who } = state
      const now = Date.now()
      const idle = idleMinutes()
      if (now - seen > idle * 60_000) return session.lock(`You were away for ${idle} minutes.`)
      if (who.expires === undefined) return
      if (now >= who.expires) return session.lock('Your session has ended: its token expired.')
      if (who.renewable && !renewing && who.expires - now < who.ttl * 1000 / 3) {
        renewing = true
        renew(who).catch(() => {}).finally(() => { renewing = false })
      }
    }, 1000)
    return () => {
      clearInterval(timer)
      signs.forEach((s) => removeEventListener(s, here, { capture: true }))
    }
  }, [])
}
