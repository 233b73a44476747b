// Which language this workstation was left in.

export type Locale = 'zh-CN' | 'en'

export const KEY = 'zhenbei.locale'

export function storedLocale(): Locale {
  try {
    return localStorage.getItem(KEY) === 'en' ? 'en' : 'zh-CN'
  } catch {
    return 'zh-CN' // Storage may be forbidden by policy on a kiosk.
  }
}
