import { describe, expect, it } from 'vitest'
import type { CaseFile, Me } from '@/api/types'
import { eventLine, refusal } from '@/lib/caseRules'

const me = { id: 'u1', name: 'wang', display_name: '王值班', role: 'admin', may: ['case.read', 'case.file', 'case.close'], session_expires: '' } as Me
const one = (over: Partial<CaseFile>) => ({ state: 'reported', opened_by: 'li', events: [], ...over }) as CaseFile

describe('what may be done with a case', () => {
  it('follows its state', () => {
    expect(refusal('file', one({}), me)).toBeNull()
    expect(refusal('close', one({}), me)).toEqual({ kind: 'wrongState' })
    expect(refusal('file', one({ state: 'closed' }), me)).toEqual({ kind: 'wrongState' })
    expect(refusal('comment', one({ state: 'closed' }), me)).toBeNull()
  })
  it('who opened or filed it cannot close it', () => {
    expect(refusal('close', one({ state: 'filed' }), me)).toBeNull()
    expect(refusal('close', one({ state: 'filed', opened_by: 'wang' }), me)).toEqual({ kind: 'ownCase' })
    expect(refusal('close', one({ state: 'filed', events: [{ action: 'file', actor: '王值班' }] }), me)).toEqual({ kind: 'ownCase' })
  })
  it('needs the permission', () => {
    expect(refusal('close', one({ state: 'filed' }), { ...me, may: ['case.read'] })).toEqual({ kind: 'permission', permission: 'case.close' })
  })
  it('reads a line of history under either name of a field', () => {
    expect(eventLine({ at: 'T', by: 'li', kind: 'opened' })).toEqual({ at: 'T', who: 'li', what: 'opened', text: '' })
  })
})
