// One tile inside the worker: its place in the socket's conversation, its decoder (or the way to the page for MSE), its credits and counts.
import { CreditAccount } from '@/lib/credit'
import { FrameKind, type Frame } from '@/lib/frame'
import type { Format, FromWorker, TileConfig, TileStats } from './messages'
import { Meter } from './meter'
import { Picture } from './picture'

export interface TileOpen {
  tile: number
  camera: string
  stream: string
  format: Format
  decodes: string[]
}

export interface TileWays {
  toServer(message: object): void
  toPage(message: FromWorker, transfer?: Transferable[]): void
}

/** So many decoder errors in a row without one picture between them, and the codec counts as not playable here. */
const GIVE_UP_AFTER = 4

export class WorkerTile {
  private readonly credit = new CreditAccount()
  private readonly meter = new Meter()
  private readonly picture: Picture | null
  private shownAtMs: number | null = null
  private failuresInARow = 0
  private sourceCodec = 'h264'

  constructor(private readonly open: TileOpen, canvas: OffscreenCanvas | null, private readonly ways: TileWays) {
    this.picture = canvas
      ? new Picture(canvas, {
          settled: (frames) => this.give(this.credit.settled(frames)),
          lostAll: () => this.give(this.credit.settleAll()),
          drawn: (receivedUs) => {
            this.failuresInARow = 0
            this.shownAtMs = receivedUs / 1000
          },
          failed: () => this.decoderFailed(),
        })
      : null
  }

  /** Ask the daemon for this tile; also after each reconnection, where it starts with fresh credits. */
  ask(): void {
    this.credit.settleAll()
    this.ways.toServer({ op: 'open', ...this.open })
  }

  configure(config: TileConfig): void {
    this.sourceCodec = config.source_codec
    this.picture?.configure(config)
    this.ways.toPage({ op: 'config', tile: this.open.tile, config })
  }

  resize(width: number, height: number): void {
    this.picture?.resize(width, height)
  }

  skipped(frames: number): void {
    this.meter.skipped += frames
  }

  frame(frame: Frame): void {
    if (frame.kind !== FrameKind.Init) {
      this.credit.received()
      this.meter.received(performance.now(), frame.payload.byteLength, frame.lostBefore)
    }
    if (this.picture) {
      if (frame.kind === FrameKind.AccessUnit) this.picture.push(frame)
      return
    }
    const data = frame.payload.slice().buffer
    const init = frame.kind === FrameKind.Init
    this.ways.toPage({ op: 'segment', tile: this.open.tile, init, key: frame.key, receivedMs: frame.receivedUs / 1000, data }, [data])
  }

  /** The page's MSE player has appended so many. */
  settledByPage(frames: number): void {
    this.give(this.credit.settled(frames))
  }

  stats(): TileStats {
    const { frames, lost, skipped, decoderErrors } = this.meter
    return { tile: this.open.tile, shownAtMs: this.shownAtMs, frames, lost, skipped, decoderErrors, ...this.meter.rates(performance.now()) }
  }

  close(): void {
    this.ways.toServer({ op: 'close', tile: this.open.tile })
    this.picture?.close()
  }

  private give(frames: number): void {
    if (frames > 0) this.ways.toServer({ op: 'credit', tile: this.open.tile, frames })
  }

  private decoderFailed(): void {
    this.meter.decoderErrors += 1
    this.failuresInARow += 1
    if (this.failuresInARow !== GIVE_UP_AFTER || this.sourceCodec === 'h264') return
    // The browser promised this codec and cannot keep it: ask again for H.264, which the daemon makes for us.
    this.open.decodes = ['h264']
    this.ways.toServer({ op: 'close', tile: this.open.tile })
    this.ask()
  }
}
