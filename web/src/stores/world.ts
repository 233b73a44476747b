// What the events socket tells: cameras, vehicles, and that a case has changed. A snapshot first, then changes (docs/api.md, "Events").
import { defineStore } from 'pinia'
import { computed, ref, shallowReactive, shallowRef } from 'vue'
import type { Camera, Position } from '@/api/types'
import { EventsSocket, type WorldEvent } from '@/api/events'
import { supersedes } from '@/lib/standing'
import { useClock } from './clock'

export type LinkState = 'off' | 'connecting' | 'up' | 'down'

export const useWorld = defineStore('world', () => {
  const cameras = shallowReactive(new Map<string, Camera>())
  /** Not reactive per vehicle: the map reads it every frame; `positionsAt` tells that something changed. */
  const vehicles = new Map<string, Position>()
  const positionsAt = ref<number | null>(null)
  const loaded = ref(false)
  const link = ref<LinkState>('off')
  const linkSince = ref(Date.now())
  const changedCase = shallowRef<{ id: string; state: string } | null>(null)
  const listeners = new Set<(items: Position[], all: boolean) => void>()
  let socket: EventsSocket | null = null
  /** The number of the newest snapshot: what was sent before it is in it, and must not be laid over it. */
  let snapshotSeq = 0

  function take(event: WorldEvent): void {
    const asOf = Date.parse(event.as_of)
    useClock().stamp(asOf)
    switch (event.type) {
      case 'snapshot': {
        snapshotSeq = event.seq
        const positions = event.positions.map((next) => {
          const held = vehicles.get(next.vehicle)
          return held && !supersedes(next, held, asOf) ? held : next
        })
        vehicles.clear()
        for (const position of positions) vehicles.set(position.vehicle, position)
        // Only what differs is touched: a wall must not open every picture anew because a snapshot came.
        const known = new Set(event.cameras.map((camera) => camera.id))
        for (const id of [...cameras.keys()]) if (!known.has(id)) cameras.delete(id)
        for (const camera of event.cameras) cameras.set(camera.id, camera)
        positionsAt.value = asOf
        loaded.value = true
        for (const listener of listeners) listener(positions, true)
        break
      }
      case 'positions': {
        if (event.seq < snapshotSeq) break
        const newer = event.items.filter((next) => supersedes(next, vehicles.get(next.vehicle), asOf))
        for (const position of newer) vehicles.set(position.vehicle, position)
        positionsAt.value = asOf
        for (const listener of listeners) listener(newer, false)
        break
      }
      case 'cameras':
        if (event.seq < snapshotSeq) break
        for (const camera of event.items) cameras.set(camera.id, camera)
        for (const id of event.removed ?? []) cameras.delete(id)
        break
      case 'case':
        changedCase.value = { id: event.id, state: event.state }
        break
      case 'skipped':
        break // The snapshot that follows sets everything right.
    }
  }

  function start(): void {
    if (socket) return
    link.value = 'connecting'
    socket = new EventsSocket(take, (up) => {
      const next: LinkState = up ? 'up' : 'down'
      if (link.value !== next) linkSince.value = useClock().now
      link.value = next
    })
    socket.connect()
  }

  function stop(): void {
    socket?.close()
    socket = null
    link.value = 'off'
    loaded.value = false
    snapshotSeq = 0
    cameras.clear()
    vehicles.clear()
  }

  function onPositions(listener: (items: Position[], all: boolean) => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  const cameraList = computed(() => [...cameras.values()].sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true })))
  return { cameras, cameraList, vehicles, positionsAt, loaded, link, linkSince, changedCase, start, stop, onPositions }
})
