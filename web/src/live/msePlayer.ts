// Plays one live tile through Media Source Extensions, where WebCodecs is not to be had (plain http on an intranet). Appends are
// serialised, the buffer is trimmed, and the picture stays near the live edge: a little late is caught up by playing faster, much by a jump.

export interface MseHooks {
  settled(frames: number): void
  failed(error: string): void
}

interface Piece { init: boolean; key: boolean; receivedMs: number; data: ArrayBuffer }

const EASE_LAG_S = 0.5
const RUSH_LAG_S = 1.0
const JUMP_LAG_S = 3
const KEEP_S = 10
const MAX_QUEUE = 400

export class MsePlayer {
  private source: MediaSource | null = null
  private buffer: SourceBuffer | null = null
  private mime = ''
  private address = ''
  private queue: Piece[] = []
  private inFlight = 0
  private needInit = true
  private newestMs: number | null = null

  constructor(private readonly video: HTMLVideoElement, private readonly hooks: MseHooks) {
    video.muted = true
    video.autoplay = true
    video.playsInline = true
  }

  /** A config opens a new time line, also when the words are the same (after a reconnection): begin afresh. */
  configure(mime: string): void {
    this.mime = mime
    this.restart()
  }

  push(piece: Piece): void {
    if (piece.init) this.needInit = false
    else if (this.needInit) return this.hooks.settled(1)
    this.queue.push(piece)
    if (this.queue.length > MAX_QUEUE) this.shed()
    this.pump()
  }

  /** When the picture now shown reached the daemon: the newest appended, less what still lies before the play head. */
  shownAtMs(): number | null {
    const end = this.end()
    if (this.newestMs === null || end === null || this.video.readyState < 2) return null
    return this.newestMs - Math.max(0, end - this.video.currentTime) * 1000
  }

  /** Called a few times a second. */
  keepUp(): void {
    const end = this.end()
    if (end === null) return
    const { video } = this
    const start = video.buffered.start(0)
    const lag = end - video.currentTime
    if (lag > JUMP_LAG_S || video.currentTime < start) video.currentTime = Math.max(start, end - 0.2)
    const rate = lag > RUSH_LAG_S ? 1.25 : lag > EASE_LAG_S ? 1.08 : 1
    if (video.playbackRate !== rate) video.playbackRate = rate
    if (video.paused) void video.play().catch(() => undefined)
    if (this.buffer && !this.buffer.updating && video.currentTime - start > KEEP_S * 2) this.buffer.remove(0, video.currentTime - KEEP_S)
  }

  close(): void {
    this.hooks.settled(this.inFlight + this.queue.length)
    this.queue = []
    this.buffer = null
    this.source = null
    this.video.removeAttribute('src')
    this.video.load()
    if (this.address) URL.revokeObjectURL(this.address)
  }

  private end(): number | null {
    const { buffered } = this.video
    return buffered.length ? buffered.end(buffered.length - 1) : null
  }

  private restart(): void {
    this.hooks.settled(this.inFlight + this.queue.filter((piece) => !piece.init).length)
    this.inFlight = 0
    this.queue = []
    this.needInit = true
    this.buffer = null
    const source = new MediaSource()
    this.source = source
    if (this.address) URL.revokeObjectURL(this.address)
    this.address = URL.createObjectURL(source)
    this.video.src = this.address
    source.addEventListener('sourceopen', () => this.attach(source), { once: true })
  }

  private attach(source: MediaSource): void {
    if (source !== this.source) return
    try {
      const buffer = source.addSourceBuffer(this.mime)
      buffer.mode = 'segments'
      buffer.addEventListener('updateend', () => this.appended())
      buffer.addEventListener('error', () => this.fail('the browser refused a piece of the stream'))
      this.buffer = buffer
      this.pump()
    } catch (error) {
      this.fail(String(error))
    }
  }

  private appended(): void {
    if (this.inFlight) this.hooks.settled(this.inFlight)
    this.inFlight = 0
    this.pump()
  }

  private pump(): void {
    const { buffer } = this
    if (!buffer || buffer.updating || !this.queue.length || this.source?.readyState !== 'open') return
    const pieces = this.queue
    this.queue = []
    const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.data.byteLength, 0))
    let at = 0
    for (const piece of pieces) {
      whole.set(new Uint8Array(piece.data), at)
      at += piece.data.byteLength
      if (!piece.init) {
        this.inFlight += 1
        this.newestMs = piece.receivedMs
      }
    }
    try {
      buffer.appendBuffer(whole)
    } catch (error) {
      this.fail(String(error))
    }
  }

  /** The page was held up for long: keep the init segment and go on from the last key frame. */
  private shed(): void {
    const inits = this.queue.filter((piece) => piece.init).slice(-1)
    const from = this.queue.findLastIndex((piece) => piece.key)
    const kept = from >= 0 ? this.queue.slice(from).filter((piece) => !piece.init) : []
    const media = this.queue.filter((piece) => !piece.init).length
    this.queue = [...inits, ...kept]
    this.hooks.settled(media - kept.length)
  }

  private fail(error: string): void {
    this.hooks.failed(error)
    this.hooks.settled(this.inFlight)
    this.inFlight = 0
  }
}
