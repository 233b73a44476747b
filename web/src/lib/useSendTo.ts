// Sending a chosen camera or vehicle to another room. Three clicks from a moment to a case.
import { useRouter } from 'vue-router'
import { api } from '@/api'
import { useClock } from '@/stores/clock'
import { useWorld } from '@/stores/world'

export function useSendTo() {
  const router = useRouter()
  const clock = useClock()
  const world = useWorld()

  return {
    wall: (camera: string) => router.push({ name: 'wall', query: { n: '1', c: camera } }),
    map: (camera: string) => router.push({ name: 'map', query: { cam: camera } }),
    /** `backMs` before now, so that there is something recorded to look at. */
    playback: (camera: string, backMs = 30_000, at?: number) =>
      router.push({ name: 'playback', query: { cam: camera, t: String(Math.round(at ?? clock.exact() - backMs)) } }),
    caseFromCamera(camera: string) {
      const one = world.cameras.get(camera)
      return router.push({
        name: 'case-new',
        query: {
          camera, at: String(Math.round(clock.exact())), source: 'video', address: one?.name ?? '',
          ...(one?.lon !== null && one?.lat !== null && one ? { lon: String(one.lon), lat: String(one.lat) } : {}),
        },
      })
    },
    caseFromVehicle(vehicle: string) {
      const one = world.vehicles.get(vehicle)
      return router.push({
        name: 'case-new',
        query: { vehicle, at: String(Math.round(clock.exact())), source: 'vehicle', ...(one ? { lon: String(one.lon), lat: String(one.lat) } : {}) },
      })
    },
    still(camera: string) {
      // In its own tab: the wall goes on, and from there the picture can be saved or printed.
      window.open(api.stillUrl(camera), '_blank', 'noopener')
    },
  }
}
