import { describe, expect, it } from 'vitest'
import { standing, supersedes, witnessedAt } from '@/lib/standing'

const T = Date.parse('2026-11-24T06:00:00Z')
const iso = (ms: number) => new Date(ms).toISOString()
const at = (time: number, received = time, state: 'moving' | 'stopped' | 'stale' = 'moving') => ({ time: iso(time), received: iso(received), state })

describe('how a vehicle stands', () => {
  it('is as the daemon said while young, and stale by age alone', () => {
    const position = at(T)
    expect(standing(position, T + 60_000, 60_000)).toBe('moving')
    expect(standing(position, T + 60_001, 60_000)).toBe('stale')
    expect(standing(at(T, T, 'stopped'), T + 59_000, 60_000)).toBe('stopped')
    expect(standing(at(T, T, 'stopped'), T + 61_000, 60_000)).toBe('stale')
  })
  it("goes by the site's own limit", () => {
    expect(standing(at(T), T + 16_000, 15_000)).toBe('stale')
    expect(standing(at(T), T + 100_000, 120_000)).toBe('moving')
  })
  it('is reckoned by the older of both clocks', () => {
    expect(standing(at(T - 300_000, T), T, 60_000)).toBe('stale')
    expect(standing(at(T + 3_600_000, T), T + 61_000, 60_000)).toBe('stale')
    expect(witnessedAt(at(T + 5_000, T))).toBe(T)
  })
  it('stays stale when the daemon says so, whatever our clock thinks', () => {
    expect(standing(at(T, T, 'stale'), T + 1, 60_000)).toBe('stale')
  })
  it('with a time nobody can read is stale', () => {
    expect(standing({ time: 'yesterday', received: iso(T), state: 'moving' }, T, 60_000)).toBe('stale')
  })
})

describe('the newest fix', () => {
  it('is never replaced by an earlier one', () => {
    expect(supersedes(at(T + 1), at(T), T + 5)).toBe(true)
    expect(supersedes(at(T), at(T), T + 5)).toBe(true)
    expect(supersedes(at(T - 1), at(T), T + 5)).toBe(false)
    expect(supersedes(at(T), undefined, T)).toBe(true)
  })
  it('from a clock that ran ahead gives way once the clock is right', () => {
    expect(supersedes(at(T), at(T + 3_600_000), T + 5)).toBe(true)
  })
})
