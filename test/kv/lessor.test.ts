/** Lease expiry on the leader's clock, and how far automatic compaction reaches. */
import test from 'ava'
import fc from 'fast-check'
import { addSample, planCompaction } from '../../coord/kv/compaction-policy.ts'
import type { CompactionPolicy, RevisionSample } from '../../coord/kv/compaction-policy.ts'
import { createLessor } from '../../coord/kv/lessor.ts'
import type { Lessor } from '../../coord/kv/lessor.ts'
import type { LeaseRecord } from '../../coord/kv/types.ts'
import { scriptOf } from './commands.ts'

const lease = (id: bigint, ttl: number, grantIndex = Number(id)): LeaseRecord => ({
  id,
  ttl,
  grantIndex,
})
const ids = (due: readonly { readonly id: bigint }[]): bigint[] => due.map(({ id }) => id)

function leading(...leases: LeaseRecord[]): Lessor {
  const lessor = createLessor()
  lessor.promote(0, [], 1000)
  for (const each of leases) lessor.granted(each, 0)
  return lessor
}

test('a lease comes due when its TTL has passed since the grant or the last renewal', (t) => {
  const lessor = leading(lease(1n, 10), lease(2n, 5))
  t.deepEqual(lessor.byExpiry(), [2n, 1n])
  t.is(lessor.renew(1n, 4_000), 10)
  t.deepEqual(lessor.due(4_999, 10), [])
  t.deepEqual(lessor.due(5_000, 10), [{ id: 2n, grantIndex: 2 }])
  t.deepEqual(lessor.due(13_999, 10), [{ id: 2n, grantIndex: 2 }])
  t.deepEqual(ids(lessor.due(14_000, 10)), [1n])
})

test('L4: a new leader gives every lease its full TTL and an election timeout', (t) => {
  const lessor = createLessor()
  t.is(lessor.renew(1n, 0), 0)
  lessor.promote(7_000, [lease(1n, 10), lease(2n, 2)], 1_500)
  t.is(lessor.remainingMs(1n, 7_000), 11_500)
  t.deepEqual(lessor.due(10_499, 10), [])
  t.deepEqual(ids(lessor.due(10_500, 10)), [2n])
  t.is(lessor.renew(1n, 8_000), 10)
  t.is(lessor.remainingMs(1n, 8_000), 10_500, 'a renewal never shortens')
})

test('a leader that lost its office expires nothing', (t) => {
  const lessor = leading(lease(1n, 5))
  lessor.demote()
  t.false(lessor.isPrimary)
  lessor.granted(lease(2n, 5), 0)
  t.deepEqual(lessor.due(60_000, 10), [])
  t.deepEqual([lessor.renew(1n, 1), lessor.renew(2n, 1)], [0, 0])
  t.is(lessor.nextDueMs(), undefined)
})

test('L6: an expired lease cannot be renewed while its revoke is under way (etcd 20616)', (t) => {
  const lessor = leading(lease(1n, 5))
  t.false(lessor.isExpired(1n, 4_999))
  t.true(lessor.isExpired(1n, 5_000))
  t.is(lessor.renew(1n, 5_000), 0)
  t.is(lessor.due(5_000, 10).length, 1)
  // Even if the clock were to step back, what was handed out stays doomed.
  t.is(lessor.renew(1n, 4_000), 0)
  t.true(lessor.isExpired(1n, 4_000))
  t.is(lessor.remainingMs(1n, 4_000), 0)
  lessor.revoked(1n)
  t.false(lessor.isExpired(1n, 5_000))
  t.is(lessor.remainingMs(1n, 5_000), undefined)
  t.is(lessor.renew(1n, 5_000), 0)
})

test('a revoke that was lost is proposed again, and one that arrived is not', (t) => {
  const lessor = leading(lease(1n, 5), lease(2n, 5))
  t.is(lessor.due(5_000, 10).length, 2)
  t.deepEqual(lessor.due(5_999, 10), [])
  lessor.revoked(2n)
  t.deepEqual(ids(lessor.due(6_000, 10)), [1n])
})

test('a lease that was granted anew under the same id has a life of its own', (t) => {
  const lessor = leading(lease(1n, 5, 3))
  lessor.revoked(1n)
  lessor.granted(lease(1n, 10, 8), 1_000)
  t.deepEqual(lessor.due(10_999, 10), [])
  t.deepEqual(lessor.due(11_000, 10), [{ id: 1n, grantIndex: 8 }])
})

test('a mass expiry is spread over seconds, and `max` bounds each round', (t) => {
  const lessor = leading(...Array.from({ length: 2_500 }, (_, i) => lease(BigInt(i + 1), 5)))
  t.is(lessor.due(5_000, 300).length, 300)
  t.is(lessor.due(5_000, 5_000).length, 700)
  t.is(lessor.due(5_000, 5_000).length, 0)
  t.is(lessor.due(5_500, 5_000).length, 500)
})

test('L4, L5: never early, and never late by more than the rounds are apart', (t) => {
  const step = fc.record({
    id: fc.bigInt({ min: 1n, max: 6n }),
    what: fc.constantFrom('grant', 'renew', 'renew', 'renew', 'revoke', 'lead'),
    ttl: fc.integer({ min: 2, max: 6 }),
    afterMs: fc.nat(2_000),
  })
  const property = fc.property(scriptOf(step, 80), (steps) => {
    const lessor = createLessor()
    lessor.promote(0, [], 0)
    const promised = new Map<bigint, { record: LeaseRecord; untilMs: number }>()
    let nowMs = 0
    for (const [index, { id, what, ttl, afterMs }] of steps.entries()) {
      nowMs += afterMs
      for (const { id: due, grantIndex } of lessor.due(nowMs, 100)) {
        const promise = promised.get(due)
        t.is(promise?.record.grantIndex, grantIndex)
        t.true((promise?.untilMs ?? Infinity) <= nowMs)
        promised.delete(due)
        lessor.revoked(due)
      }
      for (const { untilMs } of promised.values()) t.true(untilMs > nowMs)
      const known = promised.get(id)
      const toMs = (seconds: number): number => nowMs + seconds * 1000
      if (what === 'grant' && !known) {
        const record = { id, ttl, grantIndex: index }
        lessor.granted(record, nowMs)
        promised.set(id, { record, untilMs: toMs(ttl) })
      } else if (what === 'renew') {
        t.is(lessor.renew(id, nowMs), known?.record.ttl ?? 0)
        if (known) known.untilMs = Math.max(known.untilMs, toMs(known.record.ttl))
      } else if (what === 'revoke') {
        lessor.revoked(id)
        promised.delete(id)
      } else if (what === 'lead') {
        const records = [...promised.values()].map(({ record }) => record)
        lessor.promote(nowMs, records, 500)
        for (const each of promised.values()) each.untilMs = toMs(each.record.ttl) + 500
      }
    }
  })
  fc.assert(property, { numRuns: 500 })
})

const POLICY: CompactionPolicy = { revisionsKept: 100, historyMs: 60_000, revisionsMin: 10 }
const plan = (
  revision: number,
  compactRevision: number,
  nowMs: number,
  samples: readonly RevisionSample[] = [],
): number | undefined =>
  planCompaction({ nowMs, revision, compactRevision, samples, policy: POLICY })

test('the newest revisions are kept, and compactions wait until they are worth it', (t) => {
  t.is(plan(105, 0, 0), undefined)
  t.is(plan(110, 0, 0), 10)
  t.is(plan(115, 10, 0), undefined)
  t.is(plan(120, 10, 0), 20)
})

test('what is older than the history is long goes, however few revisions it is', (t) => {
  const samples = [
    { atMs: 0, revision: 7 },
    { atMs: 30_000, revision: 9 },
  ]
  t.is(plan(12, 0, 59_999, samples), undefined)
  t.is(plan(12, 0, 60_000, samples), 7)
  t.is(plan(12, 7, 60_000, samples), undefined)
  t.is(plan(12, 7, 90_000, samples), 9)
})

test('samples are few, and enough to know the revision of a history ago', (t) => {
  let samples: readonly RevisionSample[] = []
  for (let atMs = 0; atMs <= 600_000; atMs += 100)
    samples = addSample(samples, { atMs, revision: 1 + atMs }, POLICY)
  t.true(samples.length <= 62)
  t.is(plan(600_001, 0, 600_000, samples), 599_901)
  const old = samples.findLast(({ atMs }) => atMs <= 540_000)
  t.true((old?.atMs ?? 0) >= 539_000)
})
