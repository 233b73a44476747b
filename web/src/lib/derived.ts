// What can be made of a clip on a case: the order for the daemon, and the recipe in words. The clip itself is never changed.
import type { DerivedRequest, Exhibit } from '@/api/types'
import { dateOnly, ms, parseLocal, rfc } from './time'

const DAY_MS = 86_400_000
const OFFSET_MS = 8 * 3_600_000

export type DerivedKind = DerivedRequest['kind']
export const DERIVED: DerivedKind[] = ['exact_cut', 'still', 'contact_sheet', 'low_copy']

export const isDerived = (kind: string) => (DERIVED as string[]).includes(kind)

/** 14:03:07.250 in the time of the people here. */
export function clockMs(at: number): string {
  return Number.isFinite(at) ? new Date(at + OFFSET_MS).toISOString().slice(11, 23) : ''
}

/** What `clockMs` wrote, as the moment of that time of day that lies in or nearest to the span; NaN when it is no time. */
export function parseClock(text: string, from: number, to: number): number {
  const found = /^\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,3}))?)?\s*$/.exec(text)
  if (!found) return Number.NaN
  const [, h, m, s = '00', fraction = '0'] = found
  const first = parseLocal(`${dateOnly(from)} ${h!.padStart(2, '0')}:${m}:${s}`) + Number(fraction.padEnd(3, '0'))
  if (!Number.isFinite(first)) return Number.NaN
  const away = (at: number) => Math.max(from - at, at - to, 0)
  return [first - DAY_MS, first, first + DAY_MS].reduce((best, at) => (away(at) < away(best) ? at : best))
}

/** The ends of a trim as the daemon takes them. Times here have milliseconds, the daemon's have microseconds: its own ends stay its own. */
export function trimmed(delivered: { from: string; to: string }, from: number, to: number): { from: string; to: string } | 'order' | 'outside' | 'time' {
  const [first, last] = [ms(delivered.from), ms(delivered.to)]
  if (!Number.isFinite(from) || !Number.isFinite(to)) return 'time'
  if (from < first || to > last + 1) return 'outside'
  if (from >= to) return 'order'
  return { from: from <= first ? delivered.from : rfc(from), to: to >= last ? delivered.to : rfc(to) }
}

/** The moment of a picture that is shown, from the position of the player. Rounded up: just before it lies another picture. */
export function shownAt(delivered: { from: string }, seconds: number): number {
  return ms(delivered.from) + Math.ceil(seconds * 1000 - 1e-6)
}

/** Originals in their order, each followed by what was made of it. */
export function family(exhibits: Exhibit[]): { exhibit: Exhibit; no: string }[] {
  const known = new Set(exhibits.map((one) => one.id))
  const roots = exhibits.filter((one) => !one.derived_from || !known.has(one.derived_from))
  return roots.flatMap((root, index) => [
    { exhibit: root, no: String(index + 1) },
    ...exhibits.filter((one) => one.derived_from === root.id).map((exhibit, child) => ({ exhibit, no: `${index + 1}.${child + 1}` })),
  ])
}

/** What the recipe says, as a key of our words and its numbers. */
export function recipeWords(exhibit: Exhibit): { key: string; values: Record<string, string | number> } | null {
  const recipe = exhibit.recipe
  if (!recipe || !isDerived(exhibit.kind)) return null
  const { copied = 0, encoded = 0 } = recipe.pictures ?? {}
  const values = { copied, encoded, encoder: recipe.encoder ?? '', columns: recipe.parameters?.columns ?? 0, rows: recipe.parameters?.rows ?? 0 }
  if (exhibit.kind !== 'exact_cut') return { key: `derive.how.${exhibit.kind}`, values }
  if (!recipe.pictures) return { key: 'derive.how.exact_cut', values }
  return { key: encoded === 0 ? 'derive.how.copied' : copied === 0 ? 'derive.how.encoded' : 'derive.how.both', values }
}
