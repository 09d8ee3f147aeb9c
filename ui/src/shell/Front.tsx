import type { ReactNode } from 'react'
import { Mark } from '../kit'

/** The page of one card that is there before anyone has signed in. */
export function Front({ children, version, cluster }: { children: ReactNode; version?: string; cluster?: string }) {
  return (
    <main className="front">
      <div className="brand"><Mark size={34} /><span>Strongroom</span></div>
      {children}
      {version && <p className="front-foot">{cluster && <>{cluster} · </>}Strongroom {version}</p>}
    </main>
  )
}
