// The parts of the system as one line for the top bar: the worst first.
import type { HealthPart } from '@/api/types'

const RANK: Record<HealthPart['state'], number> = { down: 0, degraded: 1, ok: 2 }

export function troubles(parts: HealthPart[]): HealthPart[] {
  // A state this console does not know is no "ok".
  return parts.filter((part) => part.state !== 'ok').sort((a, b) => (RANK[a.state] ?? 0) - (RANK[b.state] ?? 0))
}
