// Vehicles and cameras over the map, on one plain canvas. Thousands of markers glide here at ease, and the map below is not drawn
// again while only they move. Projection is done by hand: the console's maps are never turned or tilted.
import type { Map as MapLibre } from 'maplibre-gl'
import type { Camera, Position, VehicleState } from '@/api/types'
import { fade, Glide } from '@/lib/motion'
import { witnessedAt } from '@/lib/standing'
import { cameraSprite, classOf, headingSprite, vehicleSprite, type Sprite } from './icons'

export interface OverlayWords {
  letter(name: string): string
  staleLabel(ageMs: number): string
  plate(position: Position): string
}

interface Car { position: Position; state: VehicleState; glide: Glide; atMs: number; x: number; y: number; drawn: boolean }
export type Hit = { kind: 'vehicle'; id: string } | { kind: 'camera'; id: string }

const FRAME_MS = 50
const LABELS_FROM_ZOOM = 15
const STALE_LABELS_AT_MOST = 120
const ORDER = { stale: 0, stopped: 1, moving: 2 }
const mercX = (lon: number) => lon / 360 + 0.5
const mercY = (lat: number) => 0.5 - Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360)) / (2 * Math.PI)

export class Overlay {
  readonly canvas = document.createElement('canvas')
  selected: Hit | null = null
  show: (position: Position) => boolean = () => true
  private readonly ctx: CanvasRenderingContext2D
  private readonly cars = new Map<string, Car>()
  private cameras: { camera: Camera; x: number; y: number }[] = []
  private readonly sprites = new Map<string, Sprite>()
  private readonly heading = headingSprite()
  private drawnAt = 0
  private dirty = true
  private raf = 0

  constructor(private readonly map: MapLibre, private readonly serverNow: () => number, private readonly standing: (position: Position) => VehicleState, public words: OverlayWords) {
    this.ctx = this.canvas.getContext('2d')!
    Object.assign(this.canvas.style, { position: 'absolute', inset: '0', width: '100%', height: '100%', pointerEvents: 'none' })
    this.canvas.dataset.overlay = ''
    map.getCanvasContainer().appendChild(this.canvas)
    map.on('render', this.draw)
    this.raf = requestAnimationFrame(this.tick)
  }

  setPositions(items: Position[], all: boolean): void {
    if (all) this.cars.clear()
    const now = performance.now()
    for (const position of items) {
      const fix = { lon: position.lon, lat: position.lat, course: position.course_deg, atMs: Date.parse(position.time) }
      const car = this.cars.get(position.vehicle)
      // Who gives us positions has sorted out late ones: an earlier time here is a clock that was set right.
      if (car && fix.atMs >= car.atMs) {
        car.glide.aim(fix, now)
        car.position = position
        car.atMs = fix.atMs
      } else this.cars.set(position.vehicle, { position, state: position.state, glide: new Glide(fix), atMs: fix.atMs, x: 0, y: 0, drawn: false })
    }
    this.dirty = true
  }

  setCameras(cameras: Camera[]): void {
    this.cameras = cameras.filter((camera) => camera.lon !== null && camera.lat !== null).map((camera) => ({ camera, x: 0, y: 0 }))
    this.dirty = true
  }

  touch(): void {
    this.sprites.clear()
    this.dirty = true
  }

  /** Where a vehicle is shown now. */
  placeOf(vehicle: string): { lon: number; lat: number } | null {
    return this.cars.get(vehicle)?.glide.at(performance.now()) ?? null
  }

  hit(x: number, y: number): Hit | null {
    let best: Hit | null = null
    let nearest = 15
    for (const { camera, x: cx, y: cy } of this.cameras) {
      const away = Math.hypot(cx - x, cy - y)
      if (away < nearest) [nearest, best] = [away, { kind: 'camera', id: camera.id }]
    }
    for (const [id, car] of this.cars) {
      if (!car.drawn) continue
      const away = Math.hypot(car.x - x, car.y - y)
      if (away < nearest) [nearest, best] = [away, { kind: 'vehicle', id }]
    }
    return best
  }

  destroy(): void {
    cancelAnimationFrame(this.raf)
    this.map.off('render', this.draw)
    this.canvas.remove()
  }

  private readonly tick = (at: number): void => {
    this.raf = requestAnimationFrame(this.tick)
    if (at - this.drawnAt < FRAME_MS) return
    if (this.dirty || this.anyGliding(at)) this.draw()
    else if (at - this.drawnAt > 1_000) this.draw() // Ages tick even when nothing moves.
  }

  private anyGliding(at: number): boolean {
    for (const car of this.cars.values()) if (!car.glide.resting(at)) return true
    return false
  }

  private sprite(key: string, make: () => Sprite): Sprite {
    let found = this.sprites.get(key)
    if (!found) this.sprites.set(key, (found = make()))
    return found
  }

  private readonly draw = (): void => {
    const { ctx, canvas, map } = this
    const width = canvas.clientWidth
    const height = canvas.clientHeight
    const dpr = Math.min(2, window.devicePixelRatio || 1)
    if (canvas.width !== Math.round(width * dpr) || canvas.height !== Math.round(height * dpr)) {
      canvas.width = Math.round(width * dpr)
      canvas.height = Math.round(height * dpr)
    }
    const now = performance.now()
    const serverNow = this.serverNow()
    const zoom = map.getZoom()
    const world = 512 * 2 ** zoom
    const center = map.getCenter()
    const left = mercX(center.lng) * world - width / 2
    const top = mercY(center.lat) * world - height / 2
    const size = Math.min(1.15, Math.max(0.5, 0.5 + (zoom - 11) * 0.17))
    ctx.setTransform(dpr, 0, 0, dpr, 0, 0)
    ctx.clearRect(0, 0, width, height)

    for (const one of this.cameras) {
      one.x = mercX(one.camera.lon!) * world - left
      one.y = mercY(one.camera.lat!) * world - top
      if (!this.inside(one.x, one.y, width, height)) continue
      if (this.selected?.kind === 'camera' && this.selected.id === one.camera.id) this.ring(one.x, one.y)
      this.put(this.sprite(`camera:${one.camera.state}`, () => cameraSprite(one.camera.state)), one.x, one.y, Math.max(0.72, size), 1)
      if (zoom >= 14) this.label(one.camera.name, one.x, one.y + 22, '#aebfcd')
    }

    const visible: Car[] = []
    for (const car of this.cars.values()) {
      car.drawn = false
      car.state = this.standing(car.position)
      if (!this.show(car.position)) continue
      const place = car.glide.at(now)
      car.x = mercX(place.lon) * world - left
      car.y = mercY(place.lat) * world - top
      if (!this.inside(car.x, car.y, width, height)) continue
      car.drawn = true
      visible.push(car)
    }
    visible.sort((a, b) => ORDER[a.state] - ORDER[b.state])
    const stale = visible.filter((car) => car.state === 'stale').length
    const labelStale = stale <= STALE_LABELS_AT_MOST && zoom >= 12
    for (const car of visible) this.drawCar(car, now, serverNow, size, zoom, labelStale)
    this.tell(visible, stale, width, height)
    this.drawnAt = now
    this.dirty = false
  }

  /** For tests and for people who read the page by other means: how many are drawn, and where the moving one nearest the middle is. */
  private tell(visible: Car[], stale: number, width: number, height: number): void {
    let nearest = Infinity
    let probe = ''
    for (const car of visible) {
      const away = Math.hypot(car.x - width / 2, car.y - height / 2)
      if (car.state !== 'moving' || away >= nearest) continue
      nearest = away
      probe = `${car.position.vehicle} ${Math.round(car.x)} ${Math.round(car.y)}`
    }
    this.canvas.dataset.drawn = String(visible.length)
    this.canvas.dataset.stale = String(stale)
    this.canvas.dataset.probe = probe
  }

  private drawCar(car: Car, now: number, serverNow: number, size: number, zoom: number, labelStale: boolean): void {
    const { position, state } = car
    const age = Math.max(0, serverNow - witnessedAt(position))
    const name = classOf(position.class)
    // A stale marker says so by its hatching; to fade it as well would hide it.
    const solid = state === 'stale' ? 0.9 : fade(age)
    if (this.selected?.kind === 'vehicle' && this.selected.id === position.vehicle) this.ring(car.x, car.y)
    const course = car.glide.at(now).course
    if (state === 'moving' && course !== null) this.put(this.heading, car.x, car.y, size * 1.3, solid, course)
    this.put(this.sprite(`${name}:${state}`, () => vehicleSprite(name, state, this.words.letter(name))), car.x, car.y, size, solid)
    if (state === 'stale' && labelStale) this.label(this.words.staleLabel(age), car.x, car.y + 14 * size + 7, '#c3ccd3')
    else if (zoom >= LABELS_FROM_ZOOM) this.label(this.words.plate(position), car.x, car.y + 14 * size + 7, '#dbe7f0')
  }

  private inside(x: number, y: number, width: number, height: number): boolean {
    return x > -30 && y > -30 && x < width + 30 && y < height + 30
  }

  private put(sprite: Sprite, x: number, y: number, size: number, alpha: number, turn = 0): void {
    const { ctx } = this
    ctx.save()
    ctx.globalAlpha = alpha
    ctx.translate(x, y)
    if (turn) ctx.rotate((turn * Math.PI) / 180)
    const half = sprite.half * size
    ctx.drawImage(sprite.image, -half, -half, half * 2, half * 2)
    ctx.restore()
  }

  private ring(x: number, y: number): void {
    const { ctx } = this
    ctx.beginPath()
    ctx.arc(x, y, 19, 0, 7)
    ctx.fillStyle = 'rgb(255 214 120 / 14%)'
    ctx.fill()
    ctx.lineWidth = 2.4
    ctx.strokeStyle = '#ffd678'
    ctx.stroke()
  }

  private label(text: string, x: number, y: number, color: string): void {
    const { ctx } = this
    ctx.font = "12px 'Noto Sans SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif"
    ctx.textAlign = 'center'
    ctx.textBaseline = 'middle'
    ctx.lineWidth = 3
    ctx.strokeStyle = 'rgb(10 14 18 / 85%)'
    ctx.strokeText(text, x, y)
    ctx.fillStyle = color
    ctx.fillText(text, x, y)
  }
}
