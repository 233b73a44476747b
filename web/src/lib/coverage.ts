// What is recorded of one camera, in ms, put together from the pieces fetched.
import type { Coverage } from '@/api/types'
import type { View } from './timeline'

export interface Hole extends View { cause: string }
export interface Recorded { spans: View[]; gaps: Hole[]; durableUntil: number | null }

export const NOTHING: Recorded = { spans: [], gaps: [], durableUntil: null }

function joined<T extends View>(list: T[], same: (a: T, b: T) => boolean): T[] {
  const out: T[] = []
  for (const one of [...list].sort((a, b) => a.from - b.from)) {
    const last = out.at(-1)
    // Microseconds are cut to milliseconds on the way here: one of them is no hole.
    if (last && same(last, one) && one.from <= last.to + 1) last.to = Math.max(last.to, one.to)
    else out.push({ ...one })
  }
  return out
}

export function merge(pieces: Coverage[]): Recorded {
  const spans = pieces.flatMap((piece) => piece.spans.map((one) => ({ from: Date.parse(one.from), to: Date.parse(one.to) })))
  const gaps = pieces.flatMap((piece) => piece.gaps.map((one) => ({ from: Date.parse(one.from), to: Date.parse(one.to), cause: one.cause })))
  const durable = pieces.map((piece) => (piece.durable_until ? Date.parse(piece.durable_until) : Number.NaN)).filter(Number.isFinite)
  return {
    spans: joined(spans, () => true),
    gaps: joined(gaps, (a, b) => a.cause === b.cause),
    durableUntil: durable.length ? Math.max(...durable) : null,
  }
}

export const spanAt = (recorded: Recorded, at: number): View | null => recorded.spans.find((one) => one.from <= at && at < one.to) ?? null
export const gapAt = (recorded: Recorded, at: number): Hole | null => recorded.gaps.find((one) => one.from <= at && at < one.to) ?? null
export const nextSpan = (recorded: Recorded, at: number): View | null => recorded.spans.find((one) => one.from > at) ?? null

/** Gaps inside a range which footage was expected for. */
export const gapsWithin = (recorded: Recorded, from: number, to: number): Hole[] =>
  recorded.gaps.filter((one) => one.from < to && one.to > from && one.cause !== 'not_yet')

/** How much of a range is recorded, 0 to 1. */
export function share(recorded: Recorded, from: number, to: number): number {
  const sum = recorded.spans.reduce((total, one) => total + Math.max(0, Math.min(one.to, to) - Math.max(one.from, from)), 0)
  return to > from ? sum / (to - from) : 0
}

export const WINDOW_MS = 600_000

/** The piece of recording to load for a moment: within one span (so it has no hole), at most ten minutes, on a fixed grid so that scrubbing
 *  back and forth asks for the same pieces; after the end of what is loaded it goes on from there. */
export function windowFor(span: View, at: number, loaded: View | null): View {
  const grid = Math.floor(at / WINDOW_MS) * WINDOW_MS
  const from = Math.max(span.from, grid)
  const to = Math.min(span.to, grid + WINDOW_MS)
  return loaded && at >= loaded.to && loaded.to > from && loaded.to < to ? { from: loaded.to, to } : { from, to }
}
