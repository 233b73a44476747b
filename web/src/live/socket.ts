// The one live socket of a page: comes back by itself with jittered back-off, and tells when it is up so that tiles are asked for again.
import { Backoff } from '@/lib/backoff'
import { decodeFrame, type Frame } from '@/lib/frame'
import type { ServerText } from './messages'

export interface SocketHooks {
  up(): void
  down(retryInMs: number): void
  text(message: ServerText): void
  frame(frame: Frame): void
}

/** The clock comes every 5 s: three missed and the way is dead, whatever TCP still believes. */
const SILENCE_MS = 16_000

export class LiveSocket {
  private socket: WebSocket | null = null
  private readonly backoff = new Backoff()
  private timer: ReturnType<typeof setTimeout> | null = null
  private heardAt = 0
  private stopped = false

  constructor(private readonly url: string, private readonly hooks: SocketHooks) {
    setInterval(() => {
      if (this.socket && this.open && performance.now() - this.heardAt > SILENCE_MS) this.socket.close()
    }, 2_000)
  }

  get open(): boolean {
    return this.socket?.readyState === WebSocket.OPEN
  }

  connect(): void {
    if (this.socket || this.stopped) return
    if (this.timer) clearTimeout(this.timer)
    this.timer = null
    const socket = new WebSocket(this.url)
    socket.binaryType = 'arraybuffer'
    this.socket = socket
    socket.onopen = () => {
      this.heardAt = performance.now()
      this.hooks.up()
    }
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.heard(event.data)
    socket.onclose = () => {
      if (this.socket !== socket) return
      this.socket = null
      const wait = this.backoff.next()
      this.hooks.down(wait)
      this.timer = setTimeout(() => this.connect(), wait)
    }
  }

  /** The network is said to be back: try at once instead of sitting out the wait. */
  retry(): void {
    this.backoff.reset()
    if (!this.socket) this.connect()
  }

  send(message: object): void {
    if (this.open) this.socket?.send(JSON.stringify(message))
  }

  private heard(data: string | ArrayBuffer): void {
    this.heardAt = performance.now()
    this.backoff.reset()
    if (typeof data !== 'string') {
      const frame = decodeFrame(data)
      if (frame) this.hooks.frame(frame)
      return
    }
    let message: ServerText
    try {
      message = JSON.parse(data) as ServerText
    } catch {
      return // A text that is no JSON is not for us; the frames go on.
    }
    this.hooks.text(message)
  }
}
