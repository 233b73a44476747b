// The pictures of the strip: asked for when the view rests, loaded two at a time, kept while the grid stays.
import { onBeforeUnmount, reactive, ref, shallowReactive, watch, type Ref } from 'vue'
import { api } from '@/api'
import type { Thumbnail } from '@/api/types'
import { slotGrid } from '@/lib/scrub'
import { rfc } from '@/lib/time'
import type { View } from '@/lib/timeline'

export interface Slot extends View { at: number | null; source: string }

const REST_MS = 300
const AGAIN_MS = 20_000
const AT_ONCE = 2
/** The server is asked again after this when it has too much to do. */
const BUSY_MS = 1_500

export function useThumbnails(camera: Ref<string | null>, view: Ref<View>, width: Ref<number>, now: () => number) {
  const slots = ref<Slot[]>([])
  const shown = shallowReactive(new Set<string>())
  let generation = 0
  let timer: ReturnType<typeof setTimeout> | null = null

  async function load(mine: number, waiting: Slot[]): Promise<void> {
    for (let next = waiting.shift(); next && mine === generation; next = waiting.shift()) {
      if (shown.has(next.source)) continue
      const picture = new Image()
      picture.src = next.source
      try {
        await picture.decode()
        shown.add(next.source)
      } catch {
        // Busy, or deleted meanwhile: the place stays empty until the strip is asked for again.
        await new Promise((ok) => setTimeout(ok, BUSY_MS))
      }
    }
  }

  async function ask(): Promise<void> {
    const mine = ++generation
    const which = camera.value
    if (!which || width.value < 50) {
      slots.value = []
      return
    }
    const grid = slotGrid(view.value, width.value, 112)
    let list: Thumbnail[]
    try {
      list = await api.thumbnails(which, rfc(grid.from), rfc(grid.to), grid.count, 160)
    } catch {
      // The time line says by itself what is recorded; the strip is only a help.
      if (mine === generation) slots.value = []
      return
    }
    if (mine !== generation) return
    const found = list.filter((one) => one.url !== null).map((one) => ({ from: Date.parse(one.from), to: Date.parse(one.to), at: one.at ? Date.parse(one.at) : null, source: one.url! }))
    slots.value = found
    if (shown.size > 400) shown.clear()
    const waiting = [...found]
    for (let i = 0; i < AT_ONCE; i += 1) void load(mine, waiting)
  }

  watch([camera, view, width], () => {
    if (timer) clearTimeout(timer)
    timer = setTimeout(() => void ask(), REST_MS)
  }, { immediate: true, deep: true })
  const again = setInterval(() => {
    if (view.value.to > now() - 60_000) void ask()
  }, AGAIN_MS)
  onBeforeUnmount(() => {
    generation += 1
    clearInterval(again)
    if (timer) clearTimeout(timer)
  })
  return reactive({ slots, shown })
}
