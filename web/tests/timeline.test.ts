import { describe, expect, it } from 'vitest'
import { gapAt, gapsWithin, merge, nextSpan, share, spanAt, windowFor } from '@/lib/coverage'
import { atOf, keepInView, MAX_SPAN_MS, MIN_SPAN_MS, pan, ticks, tileMs, tiles, xOf, zoom } from '@/lib/timeline'

const T = Date.parse('2026-11-24T06:00:00Z')
const view = { from: T, to: T + 3_600_000 }

describe('zoom and pan', () => {
  it('keeps the moment under the pointer where it is', () => {
    const at = T + 900_000
    const closer = zoom(view, at, 0.5)
    expect(xOf(closer, at, 1000)).toBeCloseTo(xOf(view, at, 1000), 6)
    expect(closer.to - closer.from).toBe(1_800_000)
  })
  it('stops at both ends', () => {
    const near = zoom(view, T, 1e-9)
    expect(near.to - near.from).toBeCloseTo(MIN_SPAN_MS)
    const far = zoom(view, T, 1e9)
    expect(far.to - far.from).toBeCloseTo(MAX_SPAN_MS)
  })
  it('there and back is where we were', () => {
    expect(atOf(view, xOf(view, T + 1234, 800), 800)).toBeCloseTo(T + 1234)
    expect(pan(pan(view, 5), -5)).toEqual(view)
  })
  it('turns the page while playing, and only then', () => {
    expect(keepInView(view, T + 60_000)).toBe(view)
    const next = keepInView(view, view.to - 1)
    expect(next.from).toBeGreaterThan(view.from)
    expect(next.to - next.from).toBe(3_600_000)
  })
})

describe('ticks', () => {
  it('lie on round local times, no nearer than asked, all in view', () => {
    const { step, list } = ticks({ from: T + 1, to: T + 86_400_000 }, 1000)
    expect((step / 86_400_000) * 1000).toBeGreaterThanOrEqual(90)
    for (const { at } of list) expect((at + 8 * 3_600_000) % step).toBe(0)
    expect(list.filter((tick) => tick.midnight).map((tick) => new Date(tick.at).toISOString())).toEqual(['2026-11-24T16:00:00.000Z'])
  })
})

describe('tiles of coverage', () => {
  it.each([20_000, 1_800_000, 5_000_000, 40_000_000, MAX_SPAN_MS])('cover a view of %i ms without a hole, aligned', (span) => {
    const list = tiles({ from: T + 77, to: T + 77 + span })
    const size = tileMs(span)
    expect(list[0]!.from).toBeLessThanOrEqual(T + 77)
    expect(list.at(-1)!.to).toBeGreaterThanOrEqual(T + 77 + span)
    for (const [index, tile] of list.entries()) {
      expect(tile.from % size).toBe(0)
      expect(tile.to - tile.from).toBe(size)
      if (index) expect(tile.from).toBe(list[index - 1]!.to)
    }
    expect(list.length).toBeLessThan(20)
  })
})

const rfc = (ms: number) => `${new Date(ms).toISOString().slice(0, -1)}000Z`
const piece = (spans: [number, number][], gaps: [number, number, string][] = [], durable = T) => ({
  stream: 'main', durable_until: rfc(durable), spans: spans.map(([from, to]) => ({ from: rfc(from), to: rfc(to) })), gaps: gaps.map(([from, to, cause]) => ({ from: rfc(from), to: rfc(to), cause })),
})

describe('recorded spans', () => {
  const recorded = merge([piece([[T, T + 1_000], [T + 3_000, T + 5_000]], [[T + 1_000, T + 3_000, 'camera_down']]), piece([[T + 5_000, T + 9_000]], [[T + 9_000, T + 10_000, 'not_yet']], T + 9_000)])
  it('of neighbouring pieces become one', () => {
    expect(recorded.spans).toEqual([{ from: T, to: T + 1_000 }, { from: T + 3_000, to: T + 9_000 }])
    expect(recorded.durableUntil).toBe(T + 9_000)
  })
  it('are half open', () => {
    expect(spanAt(recorded, T + 999)).not.toBeNull()
    expect(spanAt(recorded, T + 1_000)).toBeNull()
    expect(gapAt(recorded, T + 1_000)?.cause).toBe('camera_down')
    expect(nextSpan(recorded, T + 1_000)?.from).toBe(T + 3_000)
  })
  it('gaps inside a range leave out what is yet to come', () => {
    expect(gapsWithin(recorded, T, T + 10_000).map((gap) => gap.cause)).toEqual(['camera_down'])
    expect(share(recorded, T, T + 10_000)).toBeCloseTo(0.7)
  })
})

describe('the window loaded for a moment', () => {
  const grid = Math.floor(T / 600_000) * 600_000
  it('lies on the grid and inside the span', () => {
    expect(windowFor({ from: grid - 1, to: grid + 9_999_999 }, grid + 5, null)).toEqual({ from: grid, to: grid + 600_000 })
    expect(windowFor({ from: grid + 60_000, to: grid + 90_000 }, grid + 70_000, null)).toEqual({ from: grid + 60_000, to: grid + 90_000 })
  })
  it('goes on after the end of what is loaded when the recording has grown', () => {
    const loaded = { from: grid, to: grid + 100_000 }
    expect(windowFor({ from: grid, to: grid + 120_000 }, grid + 100_000, loaded)).toEqual({ from: grid + 100_000, to: grid + 120_000 })
  })
})
