// Decodes one tile with WebCodecs and draws onto its canvas. Runs in the worker; promises that every frame given in is settled
// exactly once, and that after any decoder error the picture comes back with the next key frame.
import type { Frame } from '@/lib/frame'
import type { TileConfig } from './messages'

export interface PictureHooks {
  /** frames dealt with: decoded, or thrown away */
  settled(frames: number): void
  /** the decoder died; everything inside it is lost */
  lostAll(): void
  drawn(receivedUs: number): void
  failed(error: string): void
}

export class Picture {
  private decoder: VideoDecoder | null = null
  private config: VideoDecoderConfig | null = null
  private needKey = true
  private readonly receivedAt = new Map<number, number>()
  private waiting: VideoFrame | null = null
  private drawing = false
  private readonly context: OffscreenCanvasRenderingContext2D | null
  private box = { width: 0, height: 0 }

  constructor(private readonly canvas: OffscreenCanvas, private readonly hooks: PictureHooks) {
    this.context = canvas.getContext('2d', { alpha: false, desynchronized: true })
  }

  configure(config: TileConfig): void {
    this.config = { codec: config.codec, optimizeForLatency: true }
    if (config.width > 0 && config.height > 0) {
      this.config.codedWidth = config.width
      this.config.codedHeight = config.height
    }
    if (config.description) this.config.description = Uint8Array.from(atob(config.description), (c) => c.charCodeAt(0))
    this.drop()
  }

  /** The size the tile has on the screen, in device pixels: no use in painting more than that. */
  resize(width: number, height: number): void {
    this.box = { width, height }
  }

  push(frame: Frame): void {
    if (!this.config || (this.needKey && !frame.key)) {
      this.hooks.settled(1)
      return
    }
    if (!this.decoder) this.decoder = this.open(this.config)
    if (!this.decoder) {
      this.hooks.settled(1)
      return
    }
    this.needKey = false
    this.receivedAt.set(frame.mediaUs, frame.receivedUs)
    if (this.receivedAt.size > 240) this.receivedAt.delete(this.receivedAt.keys().next().value as number)
    try {
      this.decoder.decode(new EncodedVideoChunk({ type: frame.key ? 'key' : 'delta', timestamp: frame.mediaUs, data: frame.payload }))
    } catch (error) {
      this.fail(String(error))
    }
  }

  close(): void {
    this.drop()
    this.waiting?.close()
    this.waiting = null
  }

  private open(config: VideoDecoderConfig): VideoDecoder | null {
    try {
      const decoder: VideoDecoder = new VideoDecoder({
        output: (picture) => this.show(picture),
        error: (error) => {
          if (decoder === this.decoder) this.fail(String(error))
        },
      })
      decoder.configure(config)
      return decoder
    } catch (error) {
      this.fail(String(error))
      return null
    }
  }

  private fail(error: string): void {
    this.hooks.failed(error)
    this.drop()
  }

  private drop(): void {
    const decoder = this.decoder
    this.decoder = null
    this.needKey = true
    this.receivedAt.clear()
    if (decoder && decoder.state !== 'closed') decoder.close()
    this.hooks.lostAll()
  }

  private show(picture: VideoFrame): void {
    this.hooks.settled(1)
    // Catching up may decode ten pictures within one screen refresh: only the newest is worth painting.
    this.waiting?.close()
    this.waiting = picture
    if (this.drawing) return
    this.drawing = true
    const paint = () => {
      this.drawing = false
      this.paint()
    }
    if (typeof requestAnimationFrame === 'function') requestAnimationFrame(paint)
    else setTimeout(paint, 16)
  }

  private paint(): void {
    const picture = this.waiting
    this.waiting = null
    if (!picture) return
    const scale = this.box.width > 0
      ? Math.min(1, this.box.width / picture.displayWidth, this.box.height / picture.displayHeight)
      : 1
    const width = Math.max(2, Math.round(picture.displayWidth * scale))
    const height = Math.max(2, Math.round(picture.displayHeight * scale))
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width
      this.canvas.height = height
    }
    this.context?.drawImage(picture, 0, 0, width, height)
    const receivedUs = this.receivedAt.get(picture.timestamp)
    this.receivedAt.delete(picture.timestamp)
    picture.close()
    if (receivedUs !== undefined) this.hooks.drawn(receivedUs)
  }
}
