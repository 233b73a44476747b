// Server time for the whole page. `now` moves four times a second, so that everything which shows an age ticks together.
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { ServerClock } from '@/lib/clock'

export const useClock = defineStore('clock', () => {
  const clock = new ServerClock()
  const now = ref(Date.now())
  const known = ref(false)

  function stamp(serverMs: number): void {
    clock.stamp(serverMs)
    known.value = clock.known
  }

  setInterval(() => {
    now.value = clock.now()
  }, 250)

  return { now, known, stamp, exact: () => clock.now() }
})
