import { describe, expect, it } from 'vitest'
import { keyBefore, keyStepMs, MAX_SLOTS, nextSpeed, OPEN_BACK_MS, openMoment, openWith, previousSpan, slotGrid, SPEEDS, speedWord } from '@/lib/scrub'

const T = Date.parse('2026-11-24T06:00:00Z')

describe('speeds', () => {
  it('go one step at a time from backwards to forwards and stop at the ends', () => {
    expect(nextSpeed(1, 1)).toBe(2)
    expect(nextSpeed(0.25, -1)).toBe(-1)
    expect(nextSpeed(-1, 1)).toBe(0.25)
    expect(nextSpeed(16, 1)).toBe(16)
    expect(nextSpeed(-16, -1)).toBe(-16)
    expect(nextSpeed(3, 1)).toBe(2)
    for (const speed of [1, 2, 4, 8, 16]) expect(SPEEDS).toContain(-speed)
  })
  it('are read as a person reads them', () => {
    expect([-16, 0.25, 0.5, 4].map(speedWord)).toEqual(['−16×', '¼×', '½×', '4×'])
  })
  it('backwards ask for at most four pictures a second', () => {
    expect(keyStepMs(-1)).toBe(250)
    expect(keyStepMs(-16)).toBe(4_000)
  })
})

describe('key frames', () => {
  const times = [T, T + 1_000, T + 2_000]
  it('are found at or before a moment', () => {
    expect(keyBefore(times, T - 1)).toBeNull()
    expect(keyBefore(times, T)).toBe(T)
    expect(keyBefore(times, T + 1_999)).toBe(T + 1_000)
    expect(keyBefore(times, T + 99_000)).toBe(T + 2_000)
    expect(keyBefore([], T)).toBeNull()
  })
  it('going backwards over a gap goes on at the end of what was recorded before it', () => {
    const recorded = { spans: [{ from: T, to: T + 5_000 }, { from: T + 9_000, to: T + 20_000 }], gaps: [], durableUntil: null }
    expect(previousSpan(recorded, T + 8_999)).toEqual({ from: T, to: T + 5_000 })
    expect(previousSpan(recorded, T + 4_000)).toBeNull()
  })
})

describe('the page opens', () => {
  const at = (ms: number) => new Date(ms).toISOString()
  const cameras = [{ id: 'a', durable_until: null }, { id: 'b', durable_until: at(T) }, { id: 'c', durable_until: at(T + 60_000) }]
  it('with the last minutes of the camera used last, else of the first that has a recording', () => {
    expect(openWith(cameras, 'c')).toEqual({ camera: 'c', at: T + 60_000 - OPEN_BACK_MS })
    expect(openWith(cameras, null)).toEqual({ camera: 'b', at: T - OPEN_BACK_MS })
    expect(openWith(cameras, 'a')).toEqual({ camera: 'b', at: T - OPEN_BACK_MS })
    expect(openWith([cameras[0]!], 'a')).toBeNull()
    expect(openWith([], null)).toBeNull()
  })
  it('where there is a picture, even when recording began a minute ago', () => {
    const recorded = { spans: [{ from: T + 60_000, to: T + 120_000 }], gaps: [], durableUntil: null }
    expect(openMoment(recorded, T)).toBe(T + 60_000)
    expect(openMoment(recorded, T + 70_000)).toBe(T + 70_000)
    expect(openMoment({ spans: [], gaps: [], durableUntil: null }, T)).toBe(T)
  })
})

describe('the strip', () => {
  it.each([20_000, 1_800_000, 7_777_777, 86_400_000, 8 * 86_400_000])('covers a view of %i ms with a bounded number of whole pieces', (span) => {
    const view = { from: T + 123, to: T + 123 + span }
    for (const width of [60, 1_000, 9_000]) {
      const grid = slotGrid(view, width, 112)
      expect(grid.from).toBeLessThanOrEqual(view.from)
      expect(grid.to).toBeGreaterThanOrEqual(view.to)
      expect(grid.to - grid.from).toBe(grid.count * grid.step)
      expect(grid.from % grid.step).toBe(0)
      expect(grid.count).toBeLessThanOrEqual(MAX_SLOTS)
    }
  })
  it('keeps its pieces when the view moves a little', () => {
    const a = slotGrid({ from: T, to: T + 1_800_000 }, 1_000, 112)
    const b = slotGrid({ from: T + 5_000, to: T + 1_805_000 }, 1_000, 112)
    expect(b.step).toBe(a.step)
    expect((b.from - a.from) % a.step).toBe(0)
  })
})
