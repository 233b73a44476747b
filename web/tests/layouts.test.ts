import { describe, expect, it } from 'vitest'
import type { HealthPart, SavedLayout } from '@/api/types'
import { troubles } from '@/lib/health'
import { layoutToSave, replaces, wallOf } from '@/lib/layouts'
import { uuid } from '@/lib/uuid'

const saved = (over: Partial<SavedLayout> = {}): SavedLayout => ({ id: '1', name: '广场', tiles: 4, cameras: ['a', null, 'b', null], shared: false, own: true, ...over })

describe('a saved layout', () => {
  it('is the wall, there and back', () => {
    const wall = { layout: 4 as const, cameras: ['a', null, 'b', null] }
    const body = layoutToSave('  广场 ', wall, true)
    expect(body).toEqual({ name: '广场', tiles: 4, cameras: ['a', null, 'b', null], shared: true })
    expect(wallOf(saved(body))).toEqual({ ...wall, focus: 0 })
  })
  it('has a camera or nothing for each tile', () => {
    expect(layoutToSave('x', { layout: 9, cameras: ['a'] }, false).cameras).toHaveLength(9)
    expect(wallOf(saved({ tiles: 1, cameras: ['a', 'b'] })).cameras).toEqual(['a'])
    expect(wallOf(saved({ tiles: 25 })).layout).toBe(4)
  })
  it('is replaced under its own name, but never somebody else’s', () => {
    expect(replaces(' 广场 ', [saved()])?.id).toBe('1')
    expect(replaces('广场', [saved({ own: false })])).toBeNull()
    expect(replaces('', [saved()])).toBeNull()
  })
  it('gets an identifier the daemon takes (RFC 9562, version 4)', () => {
    const all = new Set(Array.from({ length: 200 }, uuid))
    expect(all.size).toBe(200)
    for (const one of all) expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})

describe('what is not well', () => {
  it('is told worst first, and nothing when all is', () => {
    const part = (name: string, state: string) => ({ part: name, state, message: '' }) as HealthPart
    expect(troubles([part('database', 'ok'), part('archive', 'ok')])).toEqual([])
    expect(troubles([part('a', 'degraded'), part('b', 'ok'), part('c', 'down')]).map((one) => one.part)).toEqual(['c', 'a'])
    expect(troubles([part('a', 'on fire')])).toHaveLength(1)
  })
})
