// The live worker of a page: holds the socket, hands frames to tiles, tells the page four times a second how they stand.
import type { FromWorker, ServerText, ToWorker } from './messages'
import { LiveSocket } from './socket'
import { WorkerTile } from './tile'

const tiles = new Map<number, WorkerTile>()
let socket: LiveSocket | null = null

const toPage = (message: FromWorker, transfer: Transferable[] = []) => self.postMessage(message, { transfer })
const toServer = (message: object) => socket?.send(message)

function heard(message: ServerText): void {
  if (message.op === 'clock') {
    toPage({ op: 'clock', serverMs: message.now_us / 1000 })
    return
  }
  const tile = tiles.get(message.tile)
  if (!tile) return
  switch (message.op) {
    case 'config': {
      const { op: _op, tile: _tile, ...config } = message
      tile.configure(config)
      break
    }
    case 'skip':
      tile.skipped(message.frames)
      break
    case 'state':
      toPage({ op: 'state', tile: message.tile, state: message.state, reason: message.reason ?? null })
      break
    case 'error':
      toPage({ op: 'error', tile: message.tile, code: message.code, detail: message.detail })
      break
  }
}

function start(url: string): void {
  if (socket) return
  socket = new LiveSocket(url, {
    up: () => {
      toPage({ op: 'link', up: true, since: Date.now(), retryInMs: null })
      for (const tile of tiles.values()) tile.ask()
    },
    down: (retryInMs) => toPage({ op: 'link', up: false, since: Date.now(), retryInMs }),
    text: heard,
    frame: (frame) => tiles.get(frame.tile)?.frame(frame),
  })
  socket.connect()
  setInterval(() => {
    if (tiles.size) toPage({ op: 'stats', items: [...tiles.values()].map((tile) => tile.stats()) })
  }, 250)
}

self.onmessage = (event: MessageEvent<ToWorker>) => {
  const message = event.data
  switch (message.op) {
    case 'start':
      start(message.url)
      break
    case 'open': {
      const { canvas, op: _op, ...open } = message
      const tile = new WorkerTile(open, canvas, { toServer, toPage })
      tiles.set(message.tile, tile)
      if (socket?.open) tile.ask()
      break
    }
    case 'size':
      tiles.get(message.tile)?.resize(message.width, message.height)
      break
    case 'settled':
      tiles.get(message.tile)?.settledByPage(message.frames)
      break
    case 'close':
      tiles.get(message.tile)?.close()
      tiles.delete(message.tile)
      break
    case 'retry':
      socket?.retry()
      break
  }
}
