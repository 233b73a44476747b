// Playback in its address: cameras, the moment, how much of the line is in view, and the marks.

export const MAX_CAMERAS = 4

export interface PlaybackState {
  cameras: string[]
  at: number | null
  span: number
  markIn: number | null
  markOut: number | null
}

const number = (value: unknown): number | null => {
  const found = typeof value === 'string' && value !== '' ? Number(value) : Number.NaN
  return Number.isFinite(found) ? found : null
}

export function readPlayback(query: Record<string, unknown>): PlaybackState {
  const cameras = typeof query.cam === 'string' ? query.cam.split(',').filter(Boolean).map(decodeURIComponent) : []
  const span = number(query.span)
  return {
    cameras: [...new Set(cameras)].slice(0, MAX_CAMERAS),
    at: number(query.t),
    span: span !== null && span > 0 ? span : 30 * 60_000,
    markIn: number(query.in),
    markOut: number(query.out),
  }
}

export function writePlayback(state: PlaybackState): Record<string, string> {
  const query: Record<string, string> = {}
  if (state.cameras.length) query.cam = state.cameras.map(encodeURIComponent).join(',')
  if (state.at !== null) query.t = String(Math.round(state.at))
  if (state.span !== 30 * 60_000) query.span = String(Math.round(state.span))
  if (state.markIn !== null) query.in = String(Math.round(state.markIn))
  if (state.markOut !== null) query.out = String(Math.round(state.markOut))
  return query
}
