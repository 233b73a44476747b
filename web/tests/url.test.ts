import { describe, expect, it } from 'vitest'
import { nextCursor, url } from '@/api/http'
import { readMap, writeMap } from '@/lib/mapUrl'
import { readPlayback, writePlayback } from '@/lib/playbackUrl'
import { clockTime, dateTime, duration, parseLocal, rfc } from '@/lib/time'
import { callByDigits, moveFocus, readWall, writeWall } from '@/lib/wallUrl'

describe('the address is the state', () => {
  it('of the wall, there and back', () => {
    const state = { layout: 4 as const, cameras: ['cam-001', null, '东门,1', null], focus: 2 }
    expect(readWall(writeWall(state))).toEqual(state)
    expect(readWall({})).toBeNull()
    expect(readWall({ n: '7', c: 'a', f: '99' })).toEqual({ layout: 4, cameras: ['a', null, null, null], focus: 0 })
  })
  it('of the map, there and back', () => {
    const state = { vehicle: 'truck-017', camera: null, hideClasses: ['bus', 'taxi'], hideStates: ['stale' as const], view: { lon: 109.73, lat: 38.29, zoom: 13.5 } }
    expect(readMap(writeMap(state))).toEqual(state)
    expect(readMap({ at: 'nonsense' }).view).toBeNull()
    expect(readMap({ at: '999,38,3' }).view).toBeNull()
  })
  it('of playback, there and back', () => {
    const state = { cameras: ['cam-001', 'cam-002'], at: 1_764_000_000_000, span: 60_000, markIn: 1_764_000_000_000, markOut: null }
    expect(readPlayback(writePlayback(state))).toEqual(state)
    expect(readPlayback({ cam: 'a,a,b,c,d,e', t: 'x' })).toMatchObject({ cameras: ['a', 'b', 'c', 'd'], at: null })
  })
})

describe('keys of the wall', () => {
  it('arrows stay on the grid', () => {
    expect(moveFocus(0, 9, 'ArrowLeft')).toBe(0)
    expect(moveFocus(4, 9, 'ArrowUp')).toBe(1)
    expect(moveFocus(8, 9, 'ArrowDown')).toBe(8)
    expect(moveFocus(5, 9, 'ArrowRight')).toBe(5)
  })
  it('digits call the camera whose number they are', () => {
    const cameras = [{ id: 'cam-010' }, { id: 'cam-002' }, { id: '61080200001320000007' }]
    expect(callByDigits('2', cameras)?.id).toBe('cam-002')
    expect(callByDigits('10', cameras)?.id).toBe('cam-010')
    expect(callByDigits('61080200001320000007', cameras)?.id).toBe('61080200001320000007')
    expect(callByDigits('3', cameras)?.id).toBe('61080200001320000007')
    expect(callByDigits('99', cameras)).toBeNull()
  })
})

describe('times', () => {
  it('are Asia/Shanghai whatever the workstation is set to', () => {
    const at = Date.parse('2026-11-24T16:00:01.250Z')
    expect(dateTime(at)).toBe('2026-11-25 00:00:01')
    expect(clockTime(at)).toBe('00:00:01')
    expect(parseLocal('2026-11-25 00:00:01')).toBe(Date.parse('2026-11-24T16:00:01Z'))
    expect(rfc(at)).toBe('2026-11-24T16:00:01.250000Z')
    expect(Number.isNaN(parseLocal('tomorrow'))).toBe(true)
    expect(duration(3_723_000)).toBe('1:02:03')
  })
})

describe('calls', () => {
  it('leave out what is not asked for', () => {
    expect(url('/cases', { state: '', q: '井盖', limit: 5, cursor: undefined })).toBe('/api/v1/cases?q=%E4%BA%95%E7%9B%96&limit=5')
  })
  it('find the next page in the Link header', () => {
    expect(nextCursor('</api/v1/cases?cursor=a%3D1&limit=5>; rel="next"')).toBe('a=1')
    expect(nextCursor('</api/v1/cases?cursor=a>; rel="prev", </x?cursor=b>; rel="next"')).toBe('b')
    expect(nextCursor(null)).toBeNull()
  })
})
