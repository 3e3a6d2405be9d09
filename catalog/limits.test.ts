/** The arithmetic of a shared rate limit. */
import test from 'ava'
import fc from 'fast-check'
import { grantTokens } from './limits.ts'

const limit = fc.record({
  perSecond: fc.double({ min: 0.001, max: 10_000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 1_000 }),
})
const START = 1_800_000_000_000_000

test('in no stretch of time is more granted than burst and rate allow', (t) => {
  const asks = fc.array(
    fc.record({ micros: fc.nat(20_000_000), want: fc.integer({ min: 1, max: 1_500 }) }),
    { minLength: 1, maxLength: 60 },
  )
  fc.assert(
    fc.property(limit, asks, (each, history) => {
      let [now, fullAt] = [START, 0]
      const grants: { at: number; granted: number }[] = []
      for (const { micros, want } of history) {
        now += micros
        const answer = grantTokens(fullAt, now, want, each)
        fullAt = answer.fullAt
        if (answer.grant.granted > want) return false
        grants.push({ at: now, granted: answer.grant.granted })
      }
      return grants.every(({ at }, first) => {
        let sum = 0
        return grants.slice(first).every((grant) => {
          sum += grant.granted
          const most = each.burst + (each.perSecond * (grant.at - at)) / 1_000_000
          return sum <= most + 0.000_1
        })
      })
    }),
  )
  t.pass()
})

test('whoever waits as long as was said gets a token, and nobody waits longer than one takes', (t) => {
  fc.assert(
    fc.property(limit, fc.nat(5_000_000), (each, later) => {
      const empty = grantTokens(0, START, each.burst, each)
      if (empty.grant.granted !== each.burst) return false
      const now = START + later
      const { grant, fullAt } = grantTokens(empty.fullAt, now, 1, each)
      if (grant.granted > 0) return grant.waitMs === 0
      if (grant.waitMs > Math.ceil(1_000 / each.perSecond) + 1) return false
      return grantTokens(fullAt, now + grant.waitMs * 1_000 + 1, 1, each).grant.granted === 1
    }),
  )
  t.pass()
})

test('a bucket gives what it is asked for and keeps the rest', (t) => {
  const each = { perSecond: 2, burst: 10 }
  const one = grantTokens(0, START, 4, each)
  t.deepEqual(one.grant, { granted: 4, waitMs: 0 })
  const two = grantTokens(one.fullAt, START, 20, each)
  t.deepEqual(two.grant, { granted: 6, waitMs: 0 })
  t.deepEqual(grantTokens(two.fullAt, START, 1, each).grant, { granted: 0, waitMs: 500 })
  t.deepEqual(grantTokens(two.fullAt, START + 60_000_000, 99, each).grant.granted, 10)
  t.deepEqual(grantTokens(two.fullAt, START - 60_000_000, 1, each).grant, {
    granted: 0,
    waitMs: 60_500,
  })
})
