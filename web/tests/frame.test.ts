import { describe, expect, it } from 'vitest'
import { decodeFrame, FrameKind, HEADER_BYTES } from '@/lib/frame'

function bytes(over: Partial<{ version: number; kind: number; flags: number }> = {}, payload = [9, 8, 7]): ArrayBuffer {
  const data = new ArrayBuffer(HEADER_BYTES + payload.length)
  const view = new DataView(data)
  view.setUint8(0, over.version ?? 1)
  view.setUint8(1, over.kind ?? 1)
  view.setUint8(2, over.flags ?? 0)
  view.setUint32(4, 7)
  view.setBigInt64(8, -40_000n)
  view.setBigInt64(16, 1_764_000_000_123_456n)
  view.setUint32(24, 4_294_967_295)
  view.setUint32(28, 3)
  new Uint8Array(data, HEADER_BYTES).set(payload)
  return data
}

describe('the header of a live frame', () => {
  it('reads every field, big-endian, as docs/api.md lays it out', () => {
    const frame = decodeFrame(bytes({ flags: 3 }))!
    expect(frame).toMatchObject({ kind: FrameKind.AccessUnit, key: true, catchUp: true, tile: 7, mediaUs: -40_000, receivedUs: 1_764_000_000_123_456, number: 4_294_967_295, lostBefore: 3 })
    expect([...frame.payload]).toEqual([9, 8, 7])
  })
  it('tells a key frame from a frame to catch up with', () => {
    expect(decodeFrame(bytes({ flags: 1 }))).toMatchObject({ key: true, catchUp: false })
    expect(decodeFrame(bytes({ flags: 2 }))).toMatchObject({ key: false, catchUp: true })
  })
  it('refuses what is cut short, of another version or of an unknown kind', () => {
    expect(decodeFrame(bytes().slice(0, 31))).toBeNull()
    expect(decodeFrame(bytes({ version: 2 }))).toBeNull()
    expect(decodeFrame(bytes({ kind: 0 }))).toBeNull()
    expect(decodeFrame(bytes({ kind: 4 }))).toBeNull()
  })
  it('takes a header with no payload', () => {
    expect(decodeFrame(bytes({}, []))!.payload.byteLength).toBe(0)
  })
})
