// Whether an element is worth streaming for: on the screen, on a page that is shown. A short absence does not count, so that
// switching tabs and back does not close sixteen pictures.
import { onBeforeUnmount, onMounted, ref, type Ref } from 'vue'

const GRACE_MS = 4_000

export function useSeen(element: Ref<HTMLElement | null>): Ref<boolean> {
  const seen = ref(false)
  let inView = false
  let timer: ReturnType<typeof setTimeout> | null = null

  function judge(): void {
    const now = inView && document.visibilityState === 'visible'
    if (timer) clearTimeout(timer)
    timer = null
    if (now) seen.value = true
    else if (seen.value) timer = setTimeout(() => (seen.value = false), GRACE_MS)
  }

  const observer = new IntersectionObserver((entries) => {
    inView = entries.at(-1)?.isIntersecting ?? false
    judge()
  })
  onMounted(() => {
    if (element.value) observer.observe(element.value)
    document.addEventListener('visibilitychange', judge)
  })
  onBeforeUnmount(() => {
    observer.disconnect()
    document.removeEventListener('visibilitychange', judge)
    if (timer) clearTimeout(timer)
  })
  return seen
}
