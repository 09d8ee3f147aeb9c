// How long a session lasts without anyone at it. Each reader chooses, for their browser: it is no secret.

const key = 'strongroom.idle'

/** Minutes to choose from. There is no "never": a page left open is what a passer-by would use. */
export const idleChoices = [5, 15, 30, 60, 240]

/** Minutes without a key, a click or a scroll after which a session ends by itself. */
export function idleMinutes() {
  const set = Number(localStorage.getItem(key))
  return idleChoices.includes(set) ? set : 15
}

export const setIdleMinutes = (minutes: number) => localStorage.setItem(key, String(minutes))
