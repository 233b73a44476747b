import { describe, expect, it } from 'vitest'
import type { Exhibit } from '@/api/types'
import { clockMs, family, parseClock, recipeWords, shownAt, trimmed } from '@/lib/derived'
import { ms } from '@/lib/time'

const delivered = { from: '2026-11-24T15:59:50.123456Z', to: '2026-11-24T16:00:10.654321Z' }
const [from, to] = [ms(delivered.from), ms(delivered.to)]

describe('the ends of a trim', () => {
  it('are written with milliseconds and read back, over midnight too', () => {
    expect(clockMs(from)).toBe('23:59:50.123')
    expect(parseClock('23:59:50.123', from, to)).toBe(from)
    expect(parseClock('00:00:05.5', from, to)).toBe(ms('2026-11-24T16:00:05.500Z'))
    expect(parseClock('0:00:05', from, to)).toBe(ms('2026-11-24T16:00:05Z'))
    for (const no of ['', 'noon', '25', '12:61', '12:00:00.1234']) expect(parseClock(no, from, to), no).toBeNaN()
  })
  it('keep the microseconds of the clip itself', () => {
    expect(trimmed(delivered, from, to)).toEqual(delivered)
    expect(trimmed(delivered, from + 1_000, to - 1_000)).toEqual({ from: '2026-11-24T15:59:51.123000Z', to: '2026-11-24T16:00:09.654000Z' })
  })
  it('say what is wrong with them', () => {
    expect(trimmed(delivered, from - 1, to)).toBe('outside')
    expect(trimmed(delivered, from, to + 500)).toBe('outside')
    expect(trimmed(delivered, from + 5, from + 5)).toBe('order')
    expect(trimmed(delivered, Number.NaN, to)).toBe('time')
  })
  it('never point before the picture on the screen', () => {
    expect(shownAt(delivered, 1.0402)).toBe(from + 1_041)
    expect(shownAt(delivered, 1.04)).toBe(from + 1_040)
  })
})

const exhibit = (over: Partial<Exhibit>) => ({ id: 'a', kind: 'clip', derived_from: null, recipe: null, ...over }) as Exhibit

describe('derived exhibits', () => {
  it('stand under what they were made of', () => {
    const all = [exhibit({ id: 'a' }), exhibit({ id: 'b' }), exhibit({ id: 'c', kind: 'still', derived_from: 'a' }), exhibit({ id: 'd', kind: 'exact_cut', derived_from: 'gone' })]
    expect(family(all).map((one) => [one.exhibit.id, one.no])).toEqual([['a', '1'], ['c', '1.1'], ['b', '2'], ['d', '3']])
  })
  it('tell their recipe', () => {
    const cut = (copied: number, encoded: number) => exhibit({ kind: 'exact_cut', recipe: { name: 'exact_cut', version: 1, encoder: 'libx264', pictures: { copied, encoded } } })
    expect(recipeWords(cut(55, 15))).toMatchObject({ key: 'derive.how.both', values: { copied: 55, encoded: 15 } })
    expect(recipeWords(cut(55, 0))?.key).toBe('derive.how.copied')
    expect(recipeWords(cut(0, 9))?.key).toBe('derive.how.encoded')
    expect(recipeWords(exhibit({}))).toBeNull()
    expect(recipeWords(exhibit({ kind: 'contact_sheet', recipe: { name: 'contact_sheet', version: 1, parameters: { columns: 4, rows: 5 } } }))).toMatchObject({ key: 'derive.how.contact_sheet', values: { columns: 4, rows: 5 } })
  })
})
