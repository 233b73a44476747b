// Who sits here and what they may do.
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { api } from '@/api'
import { Problem } from '@/api/http'
import type { Me, Permission, SystemInfo } from '@/api/types'
import { STALE_AFTER_S } from '@/lib/standing'
import { stopLive } from '@/live/pool'
import { useClock } from './clock'
import { useWorld } from './world'

export const useSession = defineStore('session', () => {
  const me = ref<Me | null>(null)
  const system = ref<SystemInfo | null>(null)
  const asked = ref(false)

  async function enter(who: Me): Promise<void> {
    me.value = who
    system.value = await api.system()
    useClock().stamp(Date.parse(system.value.now))
    useWorld().start()
  }

  /** On start: is there a session already? */
  async function resume(): Promise<void> {
    try {
      await enter(await api.me())
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      me.value = null
      if (error.status !== 401) throw error
    } finally {
      asked.value = true
    }
  }

  async function signIn(name: string, password: string): Promise<void> {
    await enter(await api.signIn(name, password))
  }

  /** The session is over, by us or by the daemon. */
  function ended(): void {
    me.value = null
    useWorld().stop()
    stopLive()
  }

  async function signOut(): Promise<void> {
    try {
      await api.signOut()
    } finally {
      ended()
    }
  }

  const may = computed(() => new Set<Permission>(me.value?.may ?? []))
  const staleAfterMs = computed(() => (system.value?.fleet?.stale_after_s ?? STALE_AFTER_S) * 1_000)
  return { me, system, asked, may, staleAfterMs, resume, signIn, signOut, ended }
})
