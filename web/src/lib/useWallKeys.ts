// The keys of the wall: digits call a camera, arrows move, single letters act on the selected tile.
import { computed, ref, type Ref } from 'vue'
import { callByDigits, LAYOUTS, moveFocus, type Layout, type WallState } from './wallUrl'
import { useWorld } from '@/stores/world'

export interface WallActs {
  state: Ref<WallState>
  put(camera: string | null, slot: number): void
  setLayout(layout: Layout): void
  fullScreen(): void
  toggleList(): void
  closeAll(): void
  replay(): void
  still(): void
  mark(): void
  toggleLayouts(): void
  openCase(): void
}

const FORGET_MS = 4_000

export function useWallKeys(acts: WallActs) {
  const world = useWorld()
  const digits = ref('')
  let forget: ReturnType<typeof setTimeout> | null = null
  const called = computed(() => callByDigits(digits.value, world.cameraList))

  function clear(): void {
    digits.value = ''
    if (forget) clearTimeout(forget)
    forget = null
  }

  function enter(): void {
    const camera = called.value
    const { value: state } = acts.state
    clear()
    if (!camera) return
    acts.put(camera.id, state.focus)
    acts.state.value.focus = (state.focus + 1) % state.layout
  }

  const letters: Record<string, () => void> = {
    f: acts.fullScreen, l: acts.toggleList, r: acts.replay, s: acts.still, m: acts.mark, c: acts.openCase, w: acts.toggleLayouts,
    g: () => acts.setLayout(LAYOUTS[(LAYOUTS.indexOf(acts.state.value.layout) + 1) % LAYOUTS.length] ?? 4),
    delete: () => acts.put(null, acts.state.value.focus),
    escape: () => {
      clear()
      acts.closeAll()
    },
    enter,
  }

  function down(event: KeyboardEvent): void {
    const target = event.target as HTMLElement
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches?.('input, textarea, select')) return
    if (/^\d$/.test(event.key)) {
      digits.value = (digits.value + event.key).slice(-20)
      if (forget) clearTimeout(forget)
      forget = setTimeout(clear, FORGET_MS)
    } else if (event.key.startsWith('Arrow')) {
      acts.state.value.focus = moveFocus(acts.state.value.focus, acts.state.value.layout, event.key)
    } else if (event.key === 'Enter' && !digits.value) {
      return // A button that has the focus shall get its Enter.
    } else {
      const act = letters[event.key.toLowerCase()]
      if (!act) return
      act()
    }
    event.preventDefault()
  }

  return { digits, called, down }
}
