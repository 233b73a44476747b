// The play head: one moment for all panes. While playing it follows the lead pane's picture, and where there is none it walks by itself.
import { onBeforeUnmount, ref } from 'vue'
import type { Hole } from '@/lib/coverage'
import { nextSpeed } from '@/lib/scrub'
import type { View } from '@/lib/timeline'

export interface Lead {
  report(): number | 'wait' | 'free'
  after(): { gap: Hole | null; next: View | null }
  /** The same, looking back. */
  before(): { gap: Hole | null; previous: View | null }
}

const TICK_MS = 50

export function usePlayhead(start: number, lead: () => Lead | null, skipped: (gap: Hole) => void, edge: () => void) {
  const position = ref(start)
  const playing = ref(false)
  const speed = ref(1)
  let before = performance.now()

  function tick(): void {
    const now = performance.now()
    const walked = (now - before) * speed.value
    before = now
    const pane = lead()
    if (!playing.value || !pane) return
    if (speed.value < 0) {
      const { gap, previous } = pane.before()
      if (gap && previous) {
        skipped(gap)
        position.value = previous.to - 1
      } else if (gap) playing.value = false
      else position.value += walked
      return
    }
    const told = pane.report()
    if (told === 'wait') return
    if (typeof told === 'number') {
      position.value = told
      return
    }
    const { gap, next } = pane.after()
    if (gap && next) {
      skipped(gap)
      position.value = next.from
    } else if (gap) {
      playing.value = false
      edge()
    } else position.value += walked // Stills: the head walks, the pictures come as they can.
  }
  const timer = setInterval(tick, TICK_MS)
  onBeforeUnmount(() => clearInterval(timer))

  const stepSpeed = (by: 1 | -1): void => {
    speed.value = nextSpeed(speed.value, by)
  }
  return { position, playing, speed, stepSpeed }
}
