// The 32-byte big-endian header of a binary frame on the live socket (docs/api.md, "Live video").

export const HEADER_BYTES = 32

export const enum FrameKind {
  AccessUnit = 1,
  Init = 2,
  Fragment = 3,
}

export interface Frame {
  kind: number
  key: boolean
  catchUp: boolean
  tile: number
  mediaUs: number
  receivedUs: number
  number: number
  lostBefore: number
  payload: Uint8Array<ArrayBuffer>
}

/** Null when it is not a frame we understand: shorter than a header, or another version. */
export function decodeFrame(data: ArrayBuffer): Frame | null {
  if (data.byteLength < HEADER_BYTES) return null
  const view = new DataView(data)
  if (view.getUint8(0) !== 1) return null
  const kind = view.getUint8(1)
  if (kind < FrameKind.AccessUnit || kind > FrameKind.Fragment) return null
  const flags = view.getUint8(2)
  return {
    kind,
    key: (flags & 1) !== 0,
    catchUp: (flags & 2) !== 0,
    tile: view.getUint32(4),
    // Microseconds since 1970 stay below 2^53 for 285 years.
    mediaUs: Number(view.getBigInt64(8)),
    receivedUs: Number(view.getBigInt64(16)),
    number: view.getUint32(24),
    lostBefore: view.getUint32(28),
    payload: new Uint8Array(data, HEADER_BYTES),
  }
}
