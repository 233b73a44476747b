// Times as people here read them: Asia/Shanghai with seconds, whatever the workstation is set to.

const OFFSET_MS = 8 * 3_600_000 // China has had one zone and no summer time since 1991.

/** RFC 3339 (with microseconds) to ms since the epoch; NaN when it is none. */
export function ms(time: string | null | undefined): number {
  return time ? Date.parse(time) : Number.NaN
}

/** ms since the epoch to RFC 3339 UTC as the daemon writes it. */
export function rfc(at: number): string {
  return `${new Date(at).toISOString().slice(0, -1)}000Z`
}

function shifted(at: number): string {
  return new Date(at + OFFSET_MS).toISOString()
}

/** 14:03:07 */
export function clockTime(at: number): string {
  return Number.isFinite(at) ? shifted(at).slice(11, 19) : '—'
}

/** 14:03:07.25, for stepping through frames */
export function clockTimeFine(at: number): string {
  return Number.isFinite(at) ? shifted(at).slice(11, 22) : '—'
}

/** 2026-11-24 14:03:07 */
export function dateTime(at: number): string {
  return Number.isFinite(at) ? shifted(at).slice(0, 19).replace('T', ' ') : '—'
}

/** 2026-11-24 */
export function dateOnly(at: number): string {
  return shifted(at).slice(0, 10)
}

/** What `dateTime` wrote, back to ms; NaN when it is no time. */
export function parseLocal(text: string): number {
  const clean = text.trim().replace(' ', 'T')
  return Date.parse(`${clean.length === 16 ? `${clean}:00` : clean}+08:00`)
}

/** 1:02:03 or 2:03 */
export function duration(spanMs: number): string {
  const total = Math.max(0, Math.round(spanMs / 1000))
  const h = Math.floor(total / 3600)
  const m = Math.floor((total % 3600) / 60)
  const s = String(total % 60).padStart(2, '0')
  return h ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`
}
