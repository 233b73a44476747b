// Coverage of the cameras on the time line: fetched in aligned pieces, kept, and the newest piece asked for again while it grows.
import { onBeforeUnmount, reactive, ref, shallowReactive, watch, type Ref } from 'vue'
import { api } from '@/api'
import type { Coverage } from '@/api/types'
import { merge, NOTHING, type Recorded } from '@/lib/coverage'
import { rfc } from '@/lib/time'
import { tiles, type View } from '@/lib/timeline'

interface Piece { coverage: Coverage; askedAt: number; final: boolean }
const AGAIN_MS = 4_000
const KEEP_PIECES = 400

export function useCoverage(cameras: Ref<string[]>, view: Ref<View>) {
  const pieces = new Map<string, Piece>()
  const asking = new Set<string>()
  const recorded = shallowReactive(new Map<string, Recorded>())
  const problem = ref<unknown>(null)
  const of = (camera: string): Recorded => recorded.get(camera) ?? NOTHING
  const key = (camera: string, tile: View) => `${camera}|${tile.from}|${tile.to}`

  function rebuild(camera: string): void {
    const found = tiles(view.value).map((tile) => pieces.get(key(camera, tile))?.coverage).filter((one): one is Coverage => one !== undefined)
    if (found.length) recorded.set(camera, merge(found))
  }

  async function ask(camera: string, tile: View): Promise<void> {
    const name = key(camera, tile)
    const known = pieces.get(name)
    if (asking.has(name) || known?.final || (known && performance.now() - known.askedAt < AGAIN_MS)) return
    asking.add(name)
    try {
      const coverage = await api.coverage(camera, rfc(tile.from), rfc(tile.to))
      const durable = coverage.durable_until ? Date.parse(coverage.durable_until) : 0
      if (pieces.size > KEEP_PIECES) pieces.clear()
      pieces.set(name, { coverage, askedAt: performance.now(), final: tile.to <= durable })
      problem.value = null
      rebuild(camera)
    } catch (error) {
      problem.value = error
    } finally {
      asking.delete(name)
    }
  }

  function refresh(): void {
    for (const camera of cameras.value) {
      rebuild(camera)
      for (const tile of tiles(view.value)) void ask(camera, tile)
    }
  }

  let soon: ReturnType<typeof setTimeout> | null = null
  watch([cameras, view], () => {
    for (const camera of cameras.value) rebuild(camera)
    if (soon) clearTimeout(soon)
    soon = setTimeout(refresh, 120) // A turn of the wheel is many steps: ask when it rests.
  }, { immediate: true, deep: true })
  const timer = setInterval(refresh, AGAIN_MS)
  onBeforeUnmount(() => {
    clearInterval(timer)
    if (soon) clearTimeout(soon)
  })
  return reactive({ of, problem, refresh })
}
