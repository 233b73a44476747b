// What the map draws when nothing comes any more. The canvas is a stand-in that remembers what was written on it.
import type { Map as MapLibre } from 'maplibre-gl'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Position } from '@/api/types'
import { standing } from '@/lib/standing'
import { Overlay } from '@/map/overlay'

const T = Date.parse('2026-11-24T06:00:00Z')
const LIMIT_MS = 60_000
let written: string[] = []
let clips = 0
let frame: ((at: number) => void) | null = null

function canvas() {
  const pen = new Proxy({}, {
    get: (_, name) => (name === 'fillText' ? (text: string) => written.push(text) : name === 'clip' ? () => clips++ : () => undefined),
    set: () => true,
  })
  return { style: {}, dataset: {} as Record<string, string>, width: 0, height: 0, clientWidth: 800, clientHeight: 600, getContext: () => pen, remove() {} }
}

beforeEach(() => {
  written = []
  clips = 0
  vi.stubGlobal('window', { devicePixelRatio: 1 })
  vi.stubGlobal('document', { createElement: canvas })
  vi.stubGlobal('requestAnimationFrame', (next: (at: number) => void) => {
    frame = next
    return 1
  })
  vi.stubGlobal('cancelAnimationFrame', () => undefined)
})
afterEach(() => vi.unstubAllGlobals())

it('a vehicle that falls silent becomes hatched and says since when, by the clock alone', () => {
  let now = T
  const map = { getCanvasContainer: () => ({ appendChild() {} }), on() {}, off() {}, getZoom: () => 14, getCenter: () => ({ lng: 109.73, lat: 38.29 }) }
  const words = { letter: () => 'M', staleLabel: (ageMs: number) => `silent ${Math.round(ageMs / 1000)} s`, plate: () => 'K-1' }
  const overlay = new Overlay(map as unknown as MapLibre, () => now, (one) => standing(one, now, LIMIT_MS), words)
  const time = new Date(T).toISOString()
  overlay.setPositions([{ vehicle: 'truck-1', lon: 109.73, lat: 38.29, time, received: time, speed_kmh: 40, course_deg: 90, plate: 'K-1', class: 'muck', source: 'test', flags: [], state: 'moving' } satisfies Position], true)
  const { dataset } = overlay.canvas
  let picture = 10_000
  const next = () => frame!((picture = Math.max(picture, performance.now()) + 1_500))

  next()
  expect(dataset).toMatchObject({ drawn: '1', stale: '0', probe: 'truck-1 400 300' })
  expect(written).toEqual(['M'])
  expect(clips).toBe(0)

  now = T + LIMIT_MS + 5_000
  next()
  expect(dataset).toMatchObject({ drawn: '1', stale: '1', probe: '' })
  expect(written.at(-1)).toBe('silent 65 s')
  expect(clips, 'the hatched marker was made').toBe(1)

  const again = new Date(now).toISOString()
  overlay.setPositions([{ vehicle: 'truck-1', lon: 109.73, lat: 38.29, time: again, received: again, speed_kmh: 40, course_deg: 90, plate: 'K-1', class: 'muck', source: 'test', flags: [], state: 'moving' }], false)
  next()
  expect(dataset.stale).toBe('0')
  overlay.destroy()
})
