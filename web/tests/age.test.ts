import { describe, expect, it } from 'vitest'
import { ageParts, STALE_MS, tileStatus } from '@/lib/age'
import { ServerClock } from '@/lib/clock'

const facts = (over = {}) => ({ shownAtMs: 10_000, cameraState: 'streaming', error: null, ...over })

describe('a tile', () => {
  it('is live up to two seconds and stale after', () => {
    expect(tileStatus(facts(), 10_000 + STALE_MS)).toBe('live')
    expect(tileStatus(facts(), 10_001 + STALE_MS)).toBe('stale')
  })
  it('says the camera is down only when its picture is old', () => {
    expect(tileStatus(facts({ cameraState: 'backoff' }), 10_500)).toBe('live')
    expect(tileStatus(facts({ cameraState: 'backoff' }), 13_000)).toBe('down')
  })
  it('without any picture is opening, or down when the daemon said why', () => {
    expect(tileStatus(facts({ shownAtMs: null }), 99)).toBe('opening')
    expect(tileStatus(facts({ shownAtMs: null, cameraState: 'connecting' }), 99)).toBe('opening')
    expect(tileStatus(facts({ shownAtMs: null, cameraState: 'faulted' }), 99)).toBe('down')
  })
  it('shows an error above all', () => {
    expect(tileStatus(facts({ error: 'no such camera' }), 10_000)).toBe('error')
  })
  it('of a camera that was removed is empty, also while its last picture is young', () => {
    expect(tileStatus(facts({ removed: true }), 10_001)).toBe('removed')
    expect(tileStatus(facts({ removed: true, error: 'gone' }), 10_001)).toBe('removed')
  })
})

describe('ages', () => {
  it.each([
    [0, 'tenths', 0], [3_460, 'tenths', 3.4], [9_999, 'tenths', 9.9], [10_000, 'seconds', 10], [119_999, 'seconds', 119], [120_000, 'minutes', 2], [7_200_000, 'hours', 2], [172_800_000, 'days', 2], [-5, 'tenths', 0],
  ])('%i ms is told in %s', (ms, unit, value) => expect(ageParts(ms)).toEqual({ unit, value }))
})

describe("the server's clock", () => {
  it('goes on by the monotonic clock and trusts the least delayed stamp', () => {
    let mono = 0
    const clock = new ServerClock(() => mono)
    mono = 100
    clock.stamp(1_000_000) // 100 ms on the way
    mono = 110
    clock.stamp(1_000_100) // hardly delayed
    mono = 5_000
    clock.stamp(1_004_000) // a second late
    mono = 6_110
    expect(clock.now()).toBe(1_006_100)
  })
  it('starts again when the server was set to another time', () => {
    let mono = 0
    const clock = new ServerClock(() => mono)
    clock.stamp(9_000_000)
    mono = 1_000
    clock.stamp(1_001_000)
    expect(clock.now()).toBe(1_001_000)
  })
})
