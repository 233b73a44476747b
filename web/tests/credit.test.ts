import { describe, expect, it } from 'vitest'
import { Backoff } from '@/lib/backoff'
import { CreditAccount } from '@/lib/credit'

describe('credits', () => {
  it('go back in batches', () => {
    const account = new CreditAccount(3)
    for (let i = 0; i < 5; i++) account.received()
    expect([account.settled(), account.settled(), account.settled(), account.settled()]).toEqual([0, 0, 3, 0])
    expect(account.outstanding).toBe(1)
  })
  it('are never given for frames that did not come', () => {
    const account = new CreditAccount(1)
    account.received()
    expect(account.settled(50)).toBe(1)
    expect(account.settled(50)).toBe(0)
  })
  it('of a decoder that died are all given, once', () => {
    const account = new CreditAccount(10)
    for (let i = 0; i < 7; i++) account.received()
    account.settled()
    expect(account.settleAll()).toBe(7)
    expect(account.settleAll()).toBe(0)
  })
  it('in and out balance over a long run', () => {
    const account = new CreditAccount()
    let given = 0
    for (let i = 0; i < 1_000; i++) {
      account.received()
      if (i % 97 === 0) given += account.settleAll()
      else given += account.settled()
    }
    expect(given + account.settleAll()).toBe(1_000)
  })
})

describe('waiting before the next try', () => {
  it('doubles up to the ceiling and is jittered downwards', () => {
    const least = new Backoff(500, 8_000, () => 0)
    expect([1, 2, 3, 4, 5, 6].map(() => least.next())).toEqual([250, 500, 1_000, 2_000, 4_000, 4_000])
    const most = new Backoff(500, 8_000, () => 1)
    expect([1, 2].map(() => most.next())).toEqual([500, 1_000])
    most.reset()
    expect(most.next()).toBe(500)
  })
})
