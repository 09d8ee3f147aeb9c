import { useState } from 'react'

/** Runs what a form does: says while it runs, and keeps why it failed until it is tried again. The answer tells whether it went well. */
export function useAct() {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>()
  const run = async (what: () => Promise<unknown>) => {
    setBusy(true)
    setProblem(undefined)
    try {
      await what()
      return true
    } catch (e) {
      setProblem(e)
      return false
    } finally {
      setBusy(false)
    }
  }
  return { busy, problem, run, forget: () => setProblem(undefined) }
}
