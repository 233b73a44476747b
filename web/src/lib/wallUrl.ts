// The wall's layout in the address: /wall?n=4&c=cam-001,cam-002,,cam-004&f=1

export const LAYOUTS = [1, 4, 9, 16] as const
export type Layout = (typeof LAYOUTS)[number]

export interface WallState {
  layout: Layout
  cameras: (string | null)[]
  focus: number
}

type Query = Record<string, string | null | undefined | (string | null)[]>

const first = (value: Query[string]): string => (Array.isArray(value) ? (value[0] ?? '') : (value ?? ''))

export function fit(cameras: (string | null)[], layout: Layout): (string | null)[] {
  return Array.from({ length: layout }, (_, slot) => cameras[slot] ?? null)
}

/** Null when the address says nothing of a layout: then the wall fills itself. */
export function readWall(query: Query): WallState | null {
  if (query.c === undefined && query.n === undefined) return null
  const asked = Number(first(query.n))
  const layout = LAYOUTS.find((one) => one === asked) ?? 4
  const cameras = query.c === undefined ? [] : first(query.c).split(',').map((part) => (part ? decodeURIComponent(part) : null))
  const focus = Number.parseInt(first(query.f) || '0', 10)
  return { layout, cameras: fit(cameras, layout), focus: focus >= 0 && focus < layout ? focus : 0 }
}

export function writeWall(state: WallState): Record<string, string> {
  const cameras = state.cameras.map((camera) => (camera ? encodeURIComponent(camera) : '')).join(',').replace(/,+$/, '')
  return { n: String(state.layout), c: cameras, ...(state.focus ? { f: String(state.focus) } : {}) }
}

/** Where the selection goes with an arrow key; it stays at the edge. */
export function moveFocus(focus: number, layout: Layout, key: string): number {
  const side = Math.sqrt(layout)
  const row = Math.floor(focus / side)
  const column = focus % side
  const rows: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }
  const [dr, dc] = rows[key] ?? [0, 0]
  const clamp = (value: number) => Math.min(side - 1, Math.max(0, value))
  return clamp(row + dr) * side + clamp(column + dc)
}

/** The camera a dispatcher means by digits: the number its id ends with, else the whole id, else its place in the list. */
export function callByDigits<T extends { id: string }>(digits: string, cameras: T[]): T | null {
  const number = Number(digits)
  if (!digits || !Number.isInteger(number)) return null
  const trailing = cameras.find((camera) => {
    const found = /(\d+)$/.exec(camera.id)
    return found !== null && (found[1] === digits || (found[1]!.length < 10 && Number(found[1]) === number))
  })
  return trailing ?? cameras.find((camera) => camera.id === digits) ?? cameras[number - 1] ?? null
}
