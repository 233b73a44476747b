// Moving through a recording: speeds both ways, where to open, and which small pictures the time line shows.
import type { Recorded } from './coverage'
import type { View } from './timeline'

/** Below zero: backwards, by key frames. */
export const SPEEDS = [-16, -8, -4, -2, -1, 0.25, 0.5, 1, 2, 4, 8, 16] as const

export function nextSpeed(speed: number, by: 1 | -1): number {
  const at = SPEEDS.indexOf(speed as (typeof SPEEDS)[number])
  return SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, (at < 0 ? SPEEDS.indexOf(1) : at) + by))] ?? 1
}

const SIGNS: Record<number, string> = { 0.25: '¼', 0.5: '½' }
export const speedWord = (speed: number): string => `${speed < 0 ? '−' : ''}${SIGNS[Math.abs(speed)] ?? Math.abs(speed)}×`

/** Going backwards shows at most so many pictures a second: each comes from the server. */
const PICTURES_A_SECOND = 4
export const keyStepMs = (speed: number): number => Math.round((Math.abs(speed) * 1_000) / PICTURES_A_SECOND)

/** The last of the sorted times at or before `at`. */
export function keyBefore(times: number[], at: number): number | null {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle]! <= at) low = middle + 1
    else high = middle
  }
  return times[low - 1] ?? null
}

export const previousSpan = (recorded: Recorded, at: number): View | null => recorded.spans.filter((one) => one.to <= at).at(-1) ?? null

/** How far before the end of what is recorded the page opens. */
export const OPEN_BACK_MS = 120_000

export interface Openable { id: string; durable_until: string | null }

/** What to show when the address names no camera: the last minutes of the one used last, else of the first that has any. */
export function openWith(cameras: Openable[], last: string | null): { camera: string; at: number } | null {
  const recorded = cameras.filter((one) => one.durable_until !== null && Number.isFinite(Date.parse(one.durable_until)))
  const found = recorded.find((one) => one.id === last) ?? recorded[0]
  return found ? { camera: found.id, at: Date.parse(found.durable_until!) - OPEN_BACK_MS } : null
}

/** That moment if it is recorded, else where recording goes on after it. */
export const openMoment = (recorded: Recorded, at: number): number =>
  recorded.spans.some((one) => one.from <= at && at < one.to) ? at : (recorded.spans.find((one) => one.from > at)?.from ?? at)

const SLOT_STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400].map((one) => one * 1_000)
export const MAX_SLOTS = 40

/** Pieces of the strip: of a round length and on a fixed grid, so that moving the view shows the same pictures again. */
export function slotGrid(view: View, width: number, slotPx: number): { from: number; to: number; step: number; count: number } {
  const span = view.to - view.from
  const fit = Math.max(1, Math.min(MAX_SLOTS - 2, Math.floor(width / slotPx)))
  const step = SLOT_STEPS.find((one) => span / one <= fit) ?? Math.ceil(span / fit / 86_400_000) * 86_400_000
  const from = Math.floor(view.from / step) * step
  const count = Math.max(1, Math.ceil((view.to - from) / step))
  return { from, to: from + count * step, step, count }
}
