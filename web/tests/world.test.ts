// The store fed by a socket that we hold: what is late, doubled or gone must not come back.
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Position } from '@/api/types'
import { useWorld } from '@/stores/world'

const T = Date.parse('2026-11-24T06:00:00Z')
const iso = (ms: number) => new Date(ms).toISOString()
const position = (vehicle: string, time: number, lon = 109.7) => ({ vehicle, lon, lat: 38.2, time: iso(time), received: iso(time), state: 'moving' }) as Position
const camera = (id: string, state = 'streaming') => ({ id, name: id, state })

class HeldSocket {
  static last: HeldSocket
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: (() => void) | null = null
  constructor(readonly url: string) {
    HeldSocket.last = this
  }
  close() {}
  say(message: object) {
    this.onmessage?.({ data: JSON.stringify({ as_of: iso(T + 10_000), ...message }) })
  }
}

let world: ReturnType<typeof useWorld>
beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('window', { addEventListener() {}, removeEventListener() {} })
  vi.stubGlobal('location', { protocol: 'http:', host: 'zhenbei.invalid' })
  vi.stubGlobal('WebSocket', HeldSocket)
  setActivePinia(createPinia())
  world = useWorld()
  world.start()
  HeldSocket.last.say({ type: 'snapshot', seq: 10, positions: [position('truck', T)], cameras: [camera('cam-1'), camera('cam-2')] })
})
afterEach(() => {
  world.stop()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('the world', () => {
  it('forgets a camera that was removed', () => {
    HeldSocket.last.say({ type: 'cameras', seq: 11, items: [], removed: ['cam-1'] })
    expect(world.cameraList.map((one) => one.id)).toEqual(['cam-2'])
    HeldSocket.last.say({ type: 'cameras', seq: 12, items: [camera('cam-1')] })
    expect(world.cameraList.map((one) => one.id)).toEqual(['cam-1', 'cam-2'])
  })
  it('forgets what a new snapshot does not have', () => {
    HeldSocket.last.say({ type: 'snapshot', seq: 20, positions: [], cameras: [camera('cam-2', 'faulted')] })
    expect(world.cameraList.map((one) => [one.id, one.state])).toEqual([['cam-2', 'faulted']])
    expect(world.vehicles.size).toBe(0)
  })
  it('drops what was sent before the snapshot', () => {
    HeldSocket.last.say({ type: 'cameras', seq: 9, items: [camera('cam-1', 'backoff'), camera('cam-old')], removed: ['cam-2'] })
    HeldSocket.last.say({ type: 'positions', seq: 8, items: [position('truck', T + 1_000, 110), position('ghost', T)] })
    expect(world.cameraList.map((one) => [one.id, one.state])).toEqual([['cam-1', 'streaming'], ['cam-2', 'streaming']])
    expect([...world.vehicles.keys()]).toEqual(['truck'])
    expect(world.vehicles.get('truck')!.lon).toBe(109.7)
  })
  it('but not that a case has changed: no snapshot tells that', () => {
    HeldSocket.last.say({ type: 'case', seq: 9, id: 'c1', no: '1', state: 'filed' })
    expect(world.changedCase).toEqual({ id: 'c1', state: 'filed' })
  })
  it('never lets a vehicle step back in time, and tells the map only what is newer', () => {
    const told: string[][] = []
    world.onPositions((items) => told.push(items.map((one) => one.vehicle)))
    HeldSocket.last.say({ type: 'positions', seq: 11, items: [position('truck', T + 2_000, 109.8), position('bus', T)] })
    HeldSocket.last.say({ type: 'positions', seq: 12, items: [position('truck', T + 1_000, 109.75), position('bus', T + 1_000)] })
    expect(world.vehicles.get('truck')!.lon).toBe(109.8)
    HeldSocket.last.say({ type: 'snapshot', seq: 13, positions: [position('truck', T + 1_000, 109.75)], cameras: [] })
    expect(world.vehicles.get('truck')!.lon).toBe(109.8)
    expect(told).toEqual([['truck', 'bus'], ['bus'], ['truck']])
  })
  it('takes a snapshot of a daemon that was started anew, whose numbers begin again', () => {
    HeldSocket.last.onclose?.()
    const before = HeldSocket.last
    vi.advanceTimersByTime(20_000)
    expect(HeldSocket.last).not.toBe(before)
    HeldSocket.last.say({ type: 'snapshot', seq: 1, positions: [], cameras: [camera('cam-3')] })
    HeldSocket.last.say({ type: 'cameras', seq: 2, items: [camera('cam-4')] })
    before.say({ type: 'cameras', seq: 99, items: [camera('cam-dead')] })
    expect(world.cameraList.map((one) => one.id)).toEqual(['cam-3', 'cam-4'])
  })
})
