// The page's side of live video: starts the worker when the first tile is asked for, and gives each tile a reactive view of how it stands.
import { reactive } from 'vue'
import type { Reason } from '@/api/types'
import { useClock } from '@/stores/clock'
import { capability } from './capability'
import type { Format, FromWorker, TileConfig, TileStats, ToWorker } from './messages'

export interface LiveTile {
  readonly id: number
  format: Format | null
  config: TileConfig | null
  cameraState: string | null
  reason: Reason | null
  error: { code: string; detail: string } | null
  stats: TileStats | null
  /** MSE only: what the page's player shows, reckoned by the player itself */
  shownAtMs: number | null
}

export interface TileSink {
  canvas(): OffscreenCanvas
  segment(init: boolean, key: boolean, receivedMs: number, data: ArrayBuffer): void
  config(config: TileConfig): void
  useFormat(format: Format): Promise<void>
}

export const liveLink = reactive({ started: false, up: false, since: 0 })

interface Held { tile: LiveTile; sink: TileSink }
const held = new Map<number, Held>()
let worker: Worker | null = null
let nextId = 1

function toWorker(message: ToWorker, transfer: Transferable[] = []): void {
  worker?.postMessage(message, transfer)
}

function heard(message: FromWorker): void {
  switch (message.op) {
    case 'clock':
      useClock().stamp(message.serverMs)
      return
    case 'link':
      liveLink.up = message.up
      liveLink.since = message.since
      return
    case 'stats':
      for (const stats of message.items) {
        const one = held.get(stats.tile)
        if (one) one.tile.stats = stats
      }
      return
    default:
      break
  }
  const one = held.get(message.tile)
  if (!one) return
  switch (message.op) {
    case 'config':
      one.tile.config = message.config
      one.tile.error = null
      one.sink.config(message.config)
      break
    case 'state':
      one.tile.cameraState = message.state
      one.tile.reason = message.reason
      break
    case 'error':
      one.tile.error = { code: message.code, detail: message.detail }
      break
    case 'segment':
      one.sink.segment(message.init, message.key, message.receivedMs, message.data)
      break
  }
}

function start(): void {
  if (worker) return
  worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'live' })
  worker.onmessage = (event: MessageEvent<FromWorker>) => heard(event.data)
  liveLink.started = true
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  toWorker({ op: 'start', url: `${scheme}://${location.host}/api/v1/live` })
  window.addEventListener('online', () => toWorker({ op: 'retry' }))
}

export function openTile(camera: string, stream: string, sink: TileSink): LiveTile {
  start()
  const tile: LiveTile = reactive({
    id: nextId++, format: null, config: null, cameraState: null, reason: null, error: null, stats: null, shownAtMs: null,
  })
  held.set(tile.id, { tile, sink })
  void capability().then(async ({ format, decodes }) => {
    tile.format = format
    await sink.useFormat(format)
    if (!held.has(tile.id)) return
    const canvas = format === 'avcc' ? sink.canvas() : null
    toWorker({ op: 'open', tile: tile.id, camera, stream, format, decodes, canvas }, canvas ? [canvas] : [])
  })
  return tile
}

export const sizeTile = (tile: number, width: number, height: number) => toWorker({ op: 'size', tile, width, height })
export const settleTile = (tile: number, frames: number) => toWorker({ op: 'settled', tile, frames })

export function closeTile(tile: number): void {
  if (held.delete(tile)) toWorker({ op: 'close', tile })
}

/** After signing out: no socket may live on with the old session. */
export function stopLive(): void {
  worker?.terminate()
  worker = null
  held.clear()
  liveLink.started = false
  liveLink.up = false
}
