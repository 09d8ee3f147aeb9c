import { useSyncExternalStore } from 'react'

export type Theme = 'light' | 'dark'
const key = 'strongroom.theme'
const wide = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()

const chosen = (): Theme => (localStorage.getItem(key) as Theme | null) ?? (wide.matches ? 'dark' : 'light')

export function applyTheme() {
  document.documentElement.dataset.theme = chosen()
  listeners.forEach((tell) => tell())
}

export function setTheme(theme: Theme) {
  localStorage.setItem(key, theme)
  applyTheme()
}

wide.addEventListener('change', applyTheme)

export const useTheme = () => useSyncExternalStore((tell) => { listeners.add(tell); return () => listeners.delete(tell) }, chosen)
