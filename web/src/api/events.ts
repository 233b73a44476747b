// The events socket: comes back by itself, and calls the way dead when nothing was heard for a while.
import { Backoff } from '@/lib/backoff'
import type { Camera, Position, Time } from './types'

interface Stamped { seq: number; as_of: Time }
export type WorldEvent = Stamped &
  (
    | { type: 'snapshot'; positions: Position[]; cameras: Camera[] }
    | { type: 'positions'; items: Position[] }
    | { type: 'cameras'; items: Camera[]; removed?: string[] }
    | { type: 'case'; id: string; no: string; state: string }
    | { type: 'skipped'; count: number }
  )

export class EventsSocket {
  private socket: WebSocket | null = null
  private readonly backoff = new Backoff()
  private timer: ReturnType<typeof setTimeout> | null = null
  private closed = false

  constructor(
    private readonly take: (event: WorldEvent) => void,
    private readonly link: (up: boolean) => void,
  ) {
    window.addEventListener('online', this.retry)
  }

  connect(): void {
    if (this.socket || this.closed) return
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/events`)
    this.socket = socket
    socket.onmessage = (message: MessageEvent<string>) => {
      if (this.socket !== socket) return // Given up: what still comes from it is of another time.
      this.link(true)
      this.backoff.reset()
      try {
        this.take(JSON.parse(message.data) as WorldEvent)
      } catch (error) {
        console.warn('an event could not be read', error)
      }
    }
    socket.onclose = () => {
      if (this.socket !== socket) return
      this.socket = null
      this.link(false)
      this.timer = setTimeout(() => this.connect(), this.backoff.next())
    }
  }

  close(): void {
    this.closed = true
    window.removeEventListener('online', this.retry)
    if (this.timer) clearTimeout(this.timer)
    const socket = this.socket
    this.socket = null
    socket?.close()
  }

  private readonly retry = (): void => {
    this.backoff.reset()
    if (this.timer) clearTimeout(this.timer)
    this.connect()
  }
}
