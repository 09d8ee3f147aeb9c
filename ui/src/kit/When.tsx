const units: [Intl.RelativeTimeFormatUnit, number][] = [['year', 31536e6], ['month', 2592e6], ['day', 864e5], ['hour', 36e5], ['minute', 6e4], ['second', 1e3]]
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const exact = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' })

/** A moment, as long ago or ahead; the exact time on demand. Takes what Date.parse does. */
export function When({ at }: { at: string | number }) {
  const time = typeof at === 'number' ? at : Date.parse(at)
  if (!Number.isFinite(time)) return <>—</>
  const by = time - Date.now()
  const [unit, size] = units.find(([, s]) => Math.abs(by) >= s) ?? ['second', 1000]
  return <time dateTime={new Date(time).toISOString()} title={exact.format(time)}>{relative.format(Math.trunc(by / size), unit)}</time>
}
