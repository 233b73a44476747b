// The sums behind the playback time line: where a moment lies, zoom and pan, ticks, and which pieces of coverage to ask for.

export interface View { from: number; to: number }

export const MIN_SPAN_MS = 20_000
export const MAX_SPAN_MS = 8 * 86_400_000
const SECOND = 1_000
const MINUTE = 60_000
const HOUR = 3_600_000
const DAY = 86_400_000
const LOCAL_OFFSET = 8 * HOUR

export const xOf = (view: View, at: number, width: number): number => ((at - view.from) / (view.to - view.from)) * width
export const atOf = (view: View, x: number, width: number): number => view.from + (x / width) * (view.to - view.from)

/** Zoom by `factor` (below 1 = closer); the moment under the pointer stays under the pointer. */
export function zoom(view: View, at: number, factor: number): View {
  const span = view.to - view.from
  const next = Math.min(MAX_SPAN_MS, Math.max(MIN_SPAN_MS, span * factor))
  const part = (at - view.from) / span
  return { from: at - next * part, to: at + next * (1 - part) }
}

export const pan = (view: View, byMs: number): View => ({ from: view.from + byMs, to: view.to + byMs })

export function around(at: number, span: number, part = 0.5): View {
  return { from: at - span * part, to: at + span * (1 - part) }
}

/** While playing, the view turns the page before the play head leaves it. */
export function keepInView(view: View, at: number): View {
  const span = view.to - view.from
  if (at > view.to - span * 0.03 || at < view.from) return around(at, span, 0.15)
  return view
}

const STEPS = [SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY]

export interface Tick { at: number; midnight: boolean }

/** Ticks at round local times, no nearer than `minPx`. */
export function ticks(view: View, width: number, minPx = 90): { step: number; list: Tick[] } {
  const wanted = ((view.to - view.from) / width) * minPx
  const step = STEPS.find((one) => one >= wanted) ?? 2 * DAY
  const list: Tick[] = []
  for (let at = Math.ceil((view.from + LOCAL_OFFSET) / step) * step - LOCAL_OFFSET; at <= view.to; at += step) {
    list.push({ at, midnight: (at + LOCAL_OFFSET) % DAY === 0 })
  }
  return { step, list }
}

/** The size of the pieces in which coverage is fetched and kept, by how much is in view. */
export function tileMs(span: number): number {
  if (span <= 30 * MINUTE) return 10 * MINUTE
  if (span <= 4 * HOUR) return HOUR
  if (span <= DAY) return 6 * HOUR
  return DAY
}

/** Aligned pieces that together cover the view. */
export function tiles(view: View): View[] {
  const size = tileMs(view.to - view.from)
  const list: View[] = []
  for (let from = Math.floor(view.from / size) * size; from < view.to; from += size) list.push({ from, to: from + size })
  return list
}
