// How old is what we show, and is it still to be trusted.

/** A picture older than this is shown grey with its reason (promise 8: the wall never lies). */
export const STALE_MS = 2_000

export type TileStatus =
  /** asked for, nothing shown yet */
  | 'opening'
  /** a picture younger than STALE_MS */
  | 'live'
  /** a picture is shown and it is old */
  | 'stale'
  /** the camera gives no picture and the daemon said why */
  | 'down'
  /** the daemon refused */
  | 'error'
  /** the daemon knows no such camera (any more): there is nothing to show */
  | 'removed'

export interface TileFacts {
  /** when the shown picture reached the daemon, server ms; null before the first */
  shownAtMs: number | null
  cameraState: string | null
  error: string | null
  /** the register does not have the camera */
  removed?: boolean
}

export function ageMs(shownAtMs: number | null, nowMs: number): number | null {
  return shownAtMs === null ? null : Math.max(0, nowMs - shownAtMs)
}

export function tileStatus(facts: TileFacts, nowMs: number): TileStatus {
  if (facts.removed) return 'removed'
  if (facts.error !== null) return 'error'
  const age = ageMs(facts.shownAtMs, nowMs)
  const away = facts.cameraState !== null && facts.cameraState !== 'streaming' && facts.cameraState !== 'connecting'
  if (age === null) return away ? 'down' : 'opening'
  if (age <= STALE_MS) return 'live'
  return away ? 'down' : 'stale'
}

export type AgeUnit = 'tenths' | 'seconds' | 'minutes' | 'hours' | 'days'

/** An age in the unit a person would use for it. */
export function ageParts(ms: number): { unit: AgeUnit; value: number } {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return { unit: 'tenths', value: Math.floor(seconds * 10) / 10 }
  if (seconds < 120) return { unit: 'seconds', value: Math.floor(seconds) }
  if (seconds < 7_200) return { unit: 'minutes', value: Math.floor(seconds / 60) }
  if (seconds < 172_800) return { unit: 'hours', value: Math.floor(seconds / 3_600) }
  return { unit: 'days', value: Math.floor(seconds / 86_400) }
}
