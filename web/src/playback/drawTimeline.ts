// Paints the time line: ruler, one lane per camera, marks and play head.
import type { Recorded } from '@/lib/coverage'
import { clockTime, dateOnly } from '@/lib/time'
import { ticks, xOf, type View } from '@/lib/timeline'

export const RULER = 26
export const LANE = 26
export const NAMES = 130

export interface Lane { id: string; name: string; recorded: Recorded; lead: boolean }
export interface Scene { view: View; lanes: Lane[]; position: number; markIn: number | null; markOut: number | null; now: number; hoverX: number | null }

let hatch: CanvasPattern | null = null
function hatched(ctx: CanvasRenderingContext2D): CanvasPattern | string {
  if (hatch) return hatch
  const tile = document.createElement('canvas')
  tile.width = tile.height = 8
  const pen = tile.getContext('2d')!
  pen.fillStyle = '#252e36'
  pen.fillRect(0, 0, 8, 8)
  pen.strokeStyle = '#5a6771'
  pen.lineWidth = 1.6
  for (const x of [-8, 0, 8]) {
    pen.beginPath()
    pen.moveTo(x, 8)
    pen.lineTo(x + 8, 0)
    pen.stroke()
  }
  hatch = ctx.createPattern(tile, 'repeat')
  return hatch ?? '#3a444d'
}

export function drawTimeline(ctx: CanvasRenderingContext2D, width: number, height: number, scene: Scene): void {
  const { view } = scene
  const room = width - NAMES
  const x = (at: number) => NAMES + xOf(view, at, room)
  const bar = (from: number, to: number, y: number, h: number) => {
    const a = Math.max(NAMES, x(from))
    const b = Math.min(width, x(to))
    if (b > NAMES && a < width) ctx.fillRect(a, y, Math.max(b - a, 1), h)
  }
  ctx.fillStyle = '#10161c'
  ctx.fillRect(0, 0, width, height)
  ctx.font = "11px 'DejaVu Sans Mono',Consolas,monospace"
  ctx.textBaseline = 'middle'

  const { step, list } = ticks(view, room)
  for (const tick of list) {
    const at = Math.round(x(tick.at)) + 0.5
    if (at < NAMES) continue
    ctx.strokeStyle = tick.midnight ? '#51626f' : '#232e37'
    ctx.beginPath()
    ctx.moveTo(at, RULER - 6)
    ctx.lineTo(at, height)
    ctx.stroke()
    ctx.fillStyle = '#9aabb9'
    const text = tick.midnight ? dateOnly(tick.at).slice(5) : step >= 60_000 ? clockTime(tick.at).slice(0, 5) : clockTime(tick.at)
    ctx.textAlign = 'center'
    if (at > NAMES + 20) ctx.fillText(text, at, 11)
  }

  scene.lanes.forEach((lane, index) => {
    const y = RULER + index * LANE
    ctx.fillStyle = '#161e25'
    ctx.fillRect(NAMES, y + 3, room, LANE - 6)
    ctx.fillStyle = '#4a7ba4'
    for (const span of lane.recorded.spans) bar(span.from, span.to, y + 3, LANE - 6)
    for (const gap of lane.recorded.gaps) {
      if (gap.cause === 'not_yet') continue
      ctx.fillStyle = gap.cause === 'not_recorded' || gap.cause === 'retention' ? '#1b242c' : hatched(ctx)
      bar(gap.from, gap.to, y + 3, LANE - 6)
    }
    ctx.fillStyle = lane.lead ? '#d8e1e8' : '#9aabb9'
    ctx.textAlign = 'left'
    ctx.font = "12px 'Noto Sans SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif"
    ctx.fillText(lane.name, 10, y + LANE / 2, NAMES - 18)
  })

  if (scene.markIn !== null || scene.markOut !== null) {
    const from = scene.markIn ?? scene.markOut!
    const to = scene.markOut ?? scene.markIn!
    ctx.fillStyle = 'rgb(255 214 120 / 26%)'
    if (to > from) bar(from, to, RULER - 4, height - RULER + 4)
    for (const [at, letter] of [[scene.markIn, 'I'], [scene.markOut, 'O']] as const) {
      if (at === null || x(at) < NAMES) continue
      ctx.fillStyle = '#ffd678'
      ctx.fillRect(x(at) - 1, RULER - 8, 2, height)
      ctx.fillRect(letter === 'I' ? x(at) - 1 : x(at) - 12, RULER - 10, 13, 13)
      ctx.fillStyle = '#1a1405'
      ctx.font = 'bold 10px sans-serif'
      ctx.textAlign = 'center'
      ctx.fillText(letter, letter === 'I' ? x(at) + 5.5 : x(at) - 5.5, RULER - 3.5)
    }
  }
  if (scene.hoverX !== null && scene.hoverX > NAMES) {
    ctx.fillStyle = 'rgb(216 225 232 / 35%)'
    ctx.fillRect(scene.hoverX, RULER - 6, 1, height)
  }
  const now = x(scene.now)
  if (now > NAMES && now < width) {
    ctx.fillStyle = '#5f6f7c'
    ctx.fillRect(now, RULER - 6, 1, height)
  }
  const head = x(scene.position)
  if (head >= NAMES - 1 && head <= width) {
    ctx.fillStyle = '#ffffff'
    ctx.fillRect(head - 1, RULER - 8, 2, height)
    ctx.beginPath()
    ctx.moveTo(head - 6, RULER - 12)
    ctx.lineTo(head + 6, RULER - 12)
    ctx.lineTo(head, RULER - 3)
    ctx.fill()
  }
}
