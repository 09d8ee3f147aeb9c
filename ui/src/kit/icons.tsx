import type { ReactNode } from 'react'

// Line icons on a grid of 16, drawn for this UI. They are decoration: what they mean stands in text beside them or in the label
// of their button.
const shapes = {
  search: <><circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 3.5 3.5" /></>,
  key: <><circle cx="5" cy="11" r="3" /><path d="M7.2 8.8 13 3m-2.5 2.5 2 2M9 7l1.5 1.5" /></>,
  folder: <path d="M1.8 4.5c0-.8.5-1.3 1.2-1.3h3l1.5 1.8H13c.7 0 1.2.5 1.2 1.2v5.6c0 .7-.5 1.2-1.2 1.2H3c-.7 0-1.2-.5-1.2-1.2z" />,
  lock: <><rect x="3" y="7" width="10" height="7" rx="1.5" /><path d="M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2" /></>,
  shield: <path d="M8 1.8 13 3.6v4c0 3.2-2 5.4-5 6.6-3-1.2-5-3.4-5-6.6v-4z" />,
  user: <><circle cx="8" cy="5.2" r="2.7" /><path d="M2.8 14c.5-3 2.6-4.4 5.2-4.4s4.7 1.4 5.2 4.4" /></>,
  people: <><circle cx="6" cy="5.5" r="2.3" /><path d="M1.8 13.500c.4-2.5 2-3.8 4.2-3.800s3.8 1.3 4.2 3.800M10.5 3.500a2.3 2.3 0 0 1 0 4M12 10.200c1.3.5 2.1 1.6 2.3 3.3" /></>,
  clock: <><circle cx="8" cy="8" r="6" /><path d="M8 4.500V8l2.3 1.5" /></>,
  server: <><rect x="2" y="2.5" width="12" height="4.5" rx="1" /><rect x="2" y="9" width="12" height="4.5" rx="1" /><path d="M4.5 4.750h.01M4.5 11.250h.01" /></>,
  wheel: <><circle cx="8" cy="8" r="5" /><path d="M8 1.500v13M2.4 4.750l11.2 6.500M13.6 4.750l-11.2 6.500" /></>,
  list: <path d="M5.5 4h8.500M5.5 8h8.500M5.5 12h8.500M2.2 4h.01M2.2 8h.01M2.2 12h.01" />,
  chart: <path d="M2 14h12M4 11.500V8M8 11.500V3M12 11.500V6" />,
  camera: <><rect x="2" y="4.5" width="12" height="9" rx="1.5" /><circle cx="8" cy="9" r="2.3" /><path d="M5.5 4.5 6.5 2.500h3l1 2" /></>,
  eye: <><path d="M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8z" /><circle cx="8" cy="8" r="2" /></>,
  eyeOff: <path d="M2 2l12 12M6.5 3.700A6.5 6.5 0 0 1 8 3.500c4 0 6.5 4.5 6.5 4.500a11 11 0 0 1-2 2.500M4 4.800A10.5 10.5 0 0 0 1.5 8S4 12.5 8 12.500c1.1 0 2.1-.3 3-.8" />,
  copy: <><rect x="5.5" y="5.5" width="8" height="8.5" rx="1.3" /><path d="M3.5 10.500c-.7 0-1-.4-1-1V3.300c0-.8.5-1.3 1.3-1.300h5.700c.7 0 1 .4 1 1" /></>,
  check: <path d="m3 8.5 3.3 3.300L13 4.8" />,
  close: <path d="m4 4 8 8m0-8-8 8" />,
  plus: <path d="M8 3v10M3 8h10" />,
  more: <path d="M3.5 8h.01M8 8h.01M12.5 8h.01" strokeWidth="2.2" />,
  down: <path d="m4 6 4 4 4-4" />,
  right: <path d="m6 4 4 4-4 4" />,
  left: <path d="m10 4-4 4 4 4" />,
  up: <path d="M8 13V3M4 7l4-4 4 4" />,
  menu: <path d="M2 4h12M2 8h12M2 12h12" />,
  sun: <><circle cx="8" cy="8" r="3" /><path d="M8 1v1.500M8 13.500V15M1 8h1.500M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" /></>,
  moon: <path d="M13.5 9.500A6 6 0 0 1 6.5 2.500a6 6 0 1 0 7 7z" />,
  warn: <><path d="M8 2 14.5 13.500h-13z" /><path d="M8 6.500v3M8 11.600h.01" /></>,
  info: <><circle cx="8" cy="8" r="6" /><path d="M8 7.500V11M8 5.200h.01" /></>,
  trash: <path d="M2.5 4h11M6 4V2.500h4V4M4 4l.6 9.500h6.800L12 4M6.8 6.800v4M9.2 6.800v4" />,
  edit: <path d="M10.8 2.8 13.2 5.2 5.5 13l-3 .5.5-3z" />,
  download: <path d="M8 2v8m0 0 3-3M8 10 5 7M2.5 13.500h11" />,
  out: <path d="M6 2.500H3.500c-.6 0-1 .4-1 1v9c0 .6.4 1 1 1H6M10.5 5l3 3-3 3M13.5 8H6" />,
  share: <><circle cx="12" cy="3.5" r="1.8" /><circle cx="4" cy="8" r="1.8" /><circle cx="12" cy="12.5" r="1.8" /><path d="m5.6 7.1 4.8-2.700M5.6 8.900l4.8 2.7" /></>,
  code: <path d="m5.5 4-4 4 4 4M10.5 4l4 4-4 4" />,
  refresh: <path d="M13.5 8a5.5 5.5 0 1 1-1.6-3.900L13.5 5.500M13.5 2v3.500H10" />,
  undo: <path d="M3 6h6.500a3.5 3.5 0 0 1 0 7H6M3 6l3-3M3 6l3 3" />,
} satisfies Record<string, ReactNode>

export type IconName = keyof typeof shapes

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {shapes[name]}
    </svg>
  )
}

/** The mark of Strongroom: the wheel of a vault's door. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--accent)" />
      <g fill="none" stroke="var(--on-accent)" strokeWidth="2.4">
        <circle cx="16" cy="16" r="8.5" /><path d="M16 16V7.500M16 16l7.4 4.300M16 16l-7.4 4.3" />
      </g>
      <circle cx="16" cy="16" r="2.6" fill="var(--on-accent)" />
    </svg>
  )
}
