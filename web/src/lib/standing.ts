// How a vehicle stands now. The daemon's word was true when the fix was sent; that nothing has come since only the page can know,
// so the age decides here, with every tick and without any message. This is the one place where a vehicle becomes stale.
import type { Position, VehicleState } from '@/api/types'

/** What `[fleet] stale_after_s` is when the daemon does not say. */
export const STALE_AFTER_S = 60

type Stamps = Pick<Position, 'time' | 'received'>
// The map asks for thousands of vehicles in every picture it draws: each position's times are read once.
const read = new WeakMap<Stamps, { time: number; witnessed: number }>()

function stamps(position: Stamps): { time: number; witnessed: number } {
  let found = read.get(position)
  if (!found) {
    const time = Date.parse(position.time)
    found = { time, witnessed: Math.min(time, Date.parse(position.received)) }
    read.set(position, found)
  }
  return found
}

/** When it was last known to be there: by the older of both clocks, for an old position that arrives only now is old. */
export const witnessedAt = (position: Stamps): number => stamps(position).witnessed

export function standing(position: Stamps & Pick<Position, 'state'>, serverNowMs: number, staleAfterMs: number): VehicleState {
  // A time nobody can read is no witness: not "young enough" is stale.
  return serverNowMs - witnessedAt(position) <= staleAfterMs ? position.state : 'stale'
}

/**
 * Whether `next` may take the place of `held`: a vehicle never steps back in time. A fix from the future is no witness against its
 * successors: a device whose clock was set right again must not stay where the wrong clock left it.
 */
export function supersedes(next: Stamps, held: Stamps | undefined, asOfMs: number): boolean {
  if (!held) return true
  const before = stamps(held).time
  return !(stamps(next).time < before) || before > asOfMs
}
