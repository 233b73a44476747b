// What the page and its live worker say to each other. One worker, one socket, any number of tiles.
import type { Reason } from '@/api/types'

export type Format = 'avcc' | 'fmp4'

export interface TileConfig {
  camera: string
  stream: string
  codec: string
  description: string | null
  mime: string
  width: number
  height: number
  source_codec: string
  transcoded: boolean
}

export interface TileStats {
  tile: number
  /** when the newest picture that was drawn reached the daemon, ms since the epoch */
  shownAtMs: number | null
  frames: number
  fps: number
  kbps: number
  lost: number
  skipped: number
  decoderErrors: number
}

export type ToWorker =
  | { op: 'start'; url: string }
  | { op: 'open'; tile: number; camera: string; stream: string; format: Format; decodes: string[]; canvas: OffscreenCanvas | null }
  | { op: 'size'; tile: number; width: number; height: number }
  | { op: 'settled'; tile: number; frames: number }
  | { op: 'close'; tile: number }
  | { op: 'retry' }

export type FromWorker =
  | { op: 'link'; up: boolean; since: number; retryInMs: number | null }
  | { op: 'clock'; serverMs: number }
  | { op: 'config'; tile: number; config: TileConfig }
  | { op: 'state'; tile: number; state: string; reason: Reason | null }
  | { op: 'error'; tile: number; code: string; detail: string }
  | { op: 'stats'; items: TileStats[] }
  | { op: 'segment'; tile: number; init: boolean; key: boolean; receivedMs: number; data: ArrayBuffer }

/** Text frames of the daemon. */
export type ServerText =
  | ({ op: 'config'; tile: number } & TileConfig)
  | { op: 'state'; tile: number; state: string; reason: Reason | null }
  | { op: 'skip'; tile: number; frames: number }
  | { op: 'error'; tile: number; code: string; detail: string }
  | { op: 'clock'; now_us: number }
