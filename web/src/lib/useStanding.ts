// The state of vehicles by the server's clock and the site's limit, for everything that shows one.
import type { Position, VehicleState } from '@/api/types'
import { standing } from './standing'
import { useClock } from '@/stores/clock'
import { useSession } from '@/stores/session'

export function useStanding(): (position: Position) => VehicleState {
  const clock = useClock()
  const session = useSession()
  return (position) => standing(position, clock.now, session.staleAfterMs)
}
