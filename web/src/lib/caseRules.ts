// What may be done with a case, and why not. The daemon decides; these words are for the buttons, so that a refusal is seen before the click.
import type { CaseFile, CaseState, Me, Permission } from '@/api/types'

export type CaseAction = 'file' | 'reject' | 'close' | 'comment'

export const ACTIONS: { name: CaseAction; from: CaseState[]; needs: Permission }[] = [
  { name: 'file', from: ['reported'], needs: 'case.file' },
  { name: 'reject', from: ['reported'], needs: 'case.file' },
  { name: 'close', from: ['filed'], needs: 'case.close' },
  { name: 'comment', from: ['reported', 'filed', 'closed', 'rejected'], needs: 'case.read' },
]

export type Refusal = { kind: 'wrongState' } | { kind: 'permission'; permission: Permission } | { kind: 'ownCase' }

const FILED = ['file', 'filed']

/** Who opened or filed a case cannot close it (the two axes of a case). */
function ownCase(one: CaseFile, me: Me): boolean {
  const mine = new Set([me.id, me.name, me.display_name])
  if (mine.has(one.opened_by)) return true
  return (one.events ?? []).some((event) => FILED.includes(String(event.action ?? '')) && mine.has(String(event.actor ?? '')))
}

export function refusal(action: CaseAction, one: CaseFile, me: Me): Refusal | null {
  const rule = ACTIONS.find((candidate) => candidate.name === action)
  if (!rule) return null
  if (!me.may.includes(rule.needs)) return { kind: 'permission', permission: rule.needs }
  if (!rule.from.includes(one.state)) return { kind: 'wrongState' }
  if (action === 'close' && ownCase(one, me)) return { kind: 'ownCase' }
  return null
}

/** One line of the history, whatever names the daemon gives its fields. */
export function eventLine(event: Record<string, unknown>): { at: string; who: string; what: string; text: string } {
  const pick = (...names: string[]) => {
    for (const name of names) if (typeof event[name] === 'string' && event[name]) return event[name] as string
    return ''
  }
  return { at: pick('time', 'at'), who: pick('actor_name', 'actor', 'by'), what: pick('action', 'kind', 'event'), text: pick('text', 'detail', 'purpose') }
}
