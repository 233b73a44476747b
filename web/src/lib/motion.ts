// Smooth moving between fixes. A vehicle is only ever shown where it has been: it glides from the fix before to the newest one, and
// stands still when nothing more comes. Nothing moves unless the world moved.

export interface Place { lon: number; lat: number; course: number | null }
export interface Fix extends Place { atMs: number }

const MIN_GLIDE_MS = 250
const MAX_GLIDE_MS = 6_000
/** Further than this between two fixes is no drive but a correction. */
const JUMP_M = 600

/** Metres, good enough within a city. */
export function distanceM(a: { lon: number; lat: number }, b: { lon: number; lat: number }): number {
  const k = Math.cos((((a.lat + b.lat) / 2) * Math.PI) / 180)
  return Math.hypot((b.lon - a.lon) * 111_320 * k, (b.lat - a.lat) * 110_540)
}

/** From one course to another the short way round. */
export function turn(from: number, to: number, part: number): number {
  const delta = ((to - from + 540) % 360) - 180
  return (from + delta * part + 360) % 360
}

export class Glide {
  private from: Place
  private to: Fix
  private startMs = 0
  private glideMs = 0

  constructor(first: Fix) {
    this.from = first
    this.to = first
  }

  /** A new fix; `nowMs` is the page's own clock, `fix.atMs` the device's. */
  aim(fix: Fix, nowMs: number): void {
    if (fix.atMs <= this.to.atMs) return // Late or the same: the newest stays.
    const apart = fix.atMs - this.to.atMs
    const here = this.at(nowMs)
    const jump = distanceM(here, fix) > JUMP_M
    this.from = jump ? fix : here
    this.glideMs = jump ? 0 : Math.min(MAX_GLIDE_MS, Math.max(MIN_GLIDE_MS, apart))
    this.startMs = nowMs
    this.to = { ...fix, course: fix.course ?? this.to.course }
  }

  at(nowMs: number): Place {
    const part = this.glideMs > 0 ? Math.min(1, Math.max(0, (nowMs - this.startMs) / this.glideMs)) : 1
    if (part >= 1) return this.to
    const { from, to } = this
    return {
      lon: from.lon + (to.lon - from.lon) * part,
      lat: from.lat + (to.lat - from.lat) * part,
      course: from.course === null || to.course === null ? to.course : turn(from.course, to.course, Math.min(1, part * 3)),
    }
  }

  resting(nowMs: number): boolean {
    return nowMs >= this.startMs + this.glideMs
  }
}

/** How solid a marker is drawn: full up to 15 s of age, fading to half at five minutes. */
export function fade(ageMs: number): number {
  if (ageMs <= 15_000) return 1
  return Math.max(0.5, 1 - ((ageMs - 15_000) / 285_000) * 0.5)
}
