// Markers drawn once on small canvases: the class is the shape (and a letter), the state is the fill.
import type { CameraState, VehicleState } from '@/api/types'

export interface Sprite { image: HTMLCanvasElement; half: number }

const CSS = 26
const scale = () => Math.min(2, window.devicePixelRatio || 1)

function blank(): { canvas: HTMLCanvasElement; ctx: CanvasRenderingContext2D } {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = CSS * scale()
  const ctx = canvas.getContext('2d')!
  ctx.scale(scale(), scale())
  ctx.translate(CSS / 2, CSS / 2)
  return { canvas, ctx }
}

function polygon(ctx: CanvasRenderingContext2D, sides: number, radius: number, start: number): void {
  ctx.beginPath()
  for (let i = 0; i < sides; i++) {
    const angle = start + (i * 2 * Math.PI) / sides
    ctx.lineTo(radius * Math.cos(angle), radius * Math.sin(angle))
  }
  ctx.closePath()
}

const SHAPES: Record<string, (ctx: CanvasRenderingContext2D) => void> = {
  sanitation: (ctx) => { ctx.beginPath(); ctx.arc(0, 0, 9.5, 0, 7) },
  muck: (ctx) => polygon(ctx, 6, 10.5, 0),
  bus: (ctx) => { ctx.beginPath(); ctx.roundRect(-11, -8, 22, 16, 4) },
  taxi: (ctx) => polygon(ctx, 4, 11.5, 0),
  patrol: (ctx) => polygon(ctx, 5, 11, -Math.PI / 2),
  other: (ctx) => { ctx.beginPath(); ctx.rect(-8.5, -8.5, 17, 17) },
}

export const CLASSES = Object.keys(SHAPES)
export const classOf = (name: string | null) => (name && name in SHAPES ? name : 'other')

function hatch(ctx: CanvasRenderingContext2D): void {
  ctx.save()
  ctx.clip()
  ctx.fillStyle = '#5d6973'
  ctx.fillRect(-15, -15, 30, 30)
  ctx.strokeStyle = '#333d45'
  ctx.lineWidth = 2
  for (let x = -30; x < 30; x += 5) {
    ctx.beginPath()
    ctx.moveTo(x, 15)
    ctx.lineTo(x + 30, -15)
    ctx.stroke()
  }
  ctx.restore()
}

export function vehicleSprite(name: string, state: VehicleState, letter: string): Sprite {
  const { canvas, ctx } = blank()
  SHAPES[classOf(name)]!(ctx)
  ctx.lineWidth = 1.6
  if (state === 'moving') {
    ctx.fillStyle = '#4d86b3'
    ctx.fill()
    ctx.strokeStyle = '#cfe3f3'
  } else if (state === 'stopped') {
    ctx.fillStyle = '#15202a'
    ctx.fill()
    ctx.strokeStyle = '#8db0cc'
  } else {
    hatch(ctx)
    ctx.setLineDash([3, 2])
    ctx.strokeStyle = '#b3bfc8'
  }
  ctx.stroke()
  ctx.fillStyle = state === 'moving' ? '#ffffff' : state === 'stopped' ? '#c6dbeb' : '#f0f4f7'
  ctx.font = "600 11px 'Noto Sans SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif"
  ctx.textAlign = 'center'
  ctx.textBaseline = 'middle'
  ctx.fillText(letter, 0, 0.8)
  return { image: canvas, half: CSS / 2 }
}

/** Points north; drawn turned to the course, outside the body. */
export function headingSprite(): Sprite {
  const { canvas, ctx } = blank()
  ctx.beginPath()
  ctx.moveTo(0, -13)
  ctx.lineTo(4.2, -6.5)
  ctx.lineTo(-4.2, -6.5)
  ctx.closePath()
  ctx.fillStyle = '#cfe3f3'
  ctx.fill()
  return { image: canvas, half: CSS / 2 }
}

const CAMERA_LOOK: Record<CameraState, { line: string; fill: string }> = {
  streaming: { line: '#9fb8cb', fill: '#22303c' },
  connecting: { line: '#76879a', fill: '#1b242c' },
  backoff: { line: '#e3aa42', fill: '#362b14' },
  faulted: { line: '#f0655c', fill: '#3a1a19' },
  stopped: { line: '#76879a', fill: '#1b242c' },
}

export function cameraSprite(state: CameraState): Sprite {
  const { canvas, ctx } = blank()
  const look = CAMERA_LOOK[state] ?? CAMERA_LOOK.stopped
  ctx.fillStyle = look.fill
  ctx.strokeStyle = look.line
  ctx.lineWidth = 1.4
  ctx.beginPath()
  ctx.roundRect(-10, -10, 20, 20, 4)
  ctx.fill()
  ctx.stroke()
  ctx.fillStyle = look.line
  ctx.beginPath()
  ctx.roundRect(-6.5, -4, 8.5, 8, 1.5)
  ctx.moveTo(3, -0.5)
  ctx.lineTo(7, -3.5)
  ctx.lineTo(7, 3.5)
  ctx.lineTo(3, 0.5)
  ctx.fill()
  if (state !== 'streaming' && state !== 'connecting') {
    ctx.lineWidth = 2
    ctx.beginPath()
    ctx.moveTo(-9, 9)
    ctx.lineTo(9, -9)
    ctx.stroke()
  }
  return { image: canvas, half: CSS / 2 }
}
