// Words used on more than one page: ages, reasons, states.
import { useI18n } from 'vue-i18n'
import type { Reason } from '@/api/types'
import { ageParts } from './age'
import { clockTime, ms } from './time'

export function useWords() {
  const { t, te, locale } = useI18n()

  function age(value: number | null): string {
    if (value === null || !Number.isFinite(value)) return t('age.none')
    const { unit, value: n } = ageParts(value)
    return t(`age.${unit}`, { n: unit === 'tenths' ? n.toFixed(1) : n })
  }

  const ago = (value: number | null) => (value === null ? t('age.none') : t('age.ago', { age: age(value) }))

  /** A reason's kind in the user's language; what it says in full belongs into a tooltip. */
  function reason(of: Reason | null): string {
    if (!of) return ''
    const key = `camera.reason.${of.kind}`
    return te(key) ? t(key) : t('camera.reason.other')
  }

  function retry(of: Reason | null): string {
    if (!of) return ''
    return of.retry_at ? t('camera.retryAt', { time: clockTime(ms(of.retry_at)) }) : t('camera.waitsForPerson')
  }

  /** A word that may not be in our tables (a newer daemon): then the daemon's own. */
  function word(prefix: string, value: string | null | undefined): string {
    if (!value) return t('common.unknown')
    const key = `${prefix}.${value}`
    return te(key) ? t(key) : value
  }

  return { t, te, locale, age, ago, reason, retry, word }
}
