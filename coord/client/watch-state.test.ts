import test from 'ava'
import fc from 'fast-check'
import type { WatchResponse } from '../../proto/gen/rpc.ts'
import { startWatch, stepWatch, type WatchEffect, type WatchInput } from './watch-state.ts'

const NO_BYTES = new Uint8Array(0)
const LOST: WatchInput = { kind: 'broken', status: 14, message: 'Connection dropped' }

function answer(revision: number, parts: Partial<WatchResponse> = {}): WatchInput {
  return {
    kind: 'answer',
    answer: {
      header: { clusterId: 1n, memberId: 1n, revision, raftTerm: 1n },
      watchId: 0n,
      created: false,
      canceled: false,
      compactRevision: 0,
      cancelReason: '',
      fragment: false,
      events: [],
      ...parts,
    } as WatchResponse,
  }
}

function events(header: number, ...revisions: number[]): WatchInput {
  return answer(header, {
    events: revisions.map((modRevision) => ({
      type: 0,
      kv: {
        key: NO_BYTES,
        value: NO_BYTES,
        createRevision: modRevision,
        modRevision,
        version: 1,
        lease: 0n,
      },
    })),
  })
}

const created = (revision: number): WatchInput => answer(revision, { created: true })

/** A watch that remembers the revisions it handed out. */
function watch(startRevision = 0) {
  let state = startWatch(startRevision)
  const seen: number[] = []
  return {
    seen,
    resumeAt: () => state.resumeAt,
    take(...inputs: readonly WatchInput[]): string[] {
      return inputs.flatMap((input) => {
        const step = stepWatch(state, input)
        state = step.state
        for (const effect of step.effects)
          if (effect.kind === 'batch' && effect.batch.kind === 'events')
            seen.push(...effect.batch.events.map(({ kv }) => kv?.modRevision ?? 0))
        return step.effects.map(nameOf)
      })
    },
  }
}

function nameOf(effect: WatchEffect): string {
  switch (effect.kind) {
    case 'batch':
      return effect.batch.kind
    case 'created':
      return `created ${effect.revision}`
    case 'fail':
      return `fail ${effect.status} ${effect.message}`
    case 'end':
    case 'reopen':
      return effect.kind
  }
}

test('a watch without a start resumes after the revision of its creation', (t) => {
  const one = watch()
  t.is(one.resumeAt(), 0)
  t.deepEqual(one.take(created(7)), ['created 7'])
  t.is(one.resumeAt(), 8)
  t.deepEqual(one.take(LOST), ['reopen'])
  t.is(one.resumeAt(), 8)
})

test('a watch that was never created starts anew from now', (t) => {
  const one = watch()
  t.deepEqual(one.take(LOST), ['reopen'])
  t.is(one.resumeAt(), 0)
})

test('a watch from a revision of the future keeps it across streams', (t) => {
  const one = watch(50)
  one.take(created(7), LOST)
  t.is(one.resumeAt(), 50)
  one.take(created(8), events(49, 48, 49), events(51, 50, 51))
  t.deepEqual(one.seen, [50, 51])
})

test('after a reconnect what was seen is not handed out again', (t) => {
  const one = watch(5)
  one.take(created(9), events(9, 5, 6, 6), LOST)
  t.is(one.resumeAt(), 7)
  t.deepEqual(one.take(created(9), events(9, 5, 6, 6)), ['created 9'])
  t.deepEqual(one.take(events(9, 6, 7, 7, 8)), ['events'])
  t.deepEqual(one.seen, [5, 6, 6, 7, 7, 8])
})

test('the revision of an answer does not move the watch, only its events do', (t) => {
  const one = watch(1)
  one.take(created(100), events(100, 3), LOST)
  t.is(one.resumeAt(), 4, 'history up to 100 is still under way')
})

test('a progress note moves the resumption, yet an event it overtook is handed out', (t) => {
  const one = watch()
  one.take(created(3))
  t.deepEqual(one.take(answer(10)), ['progress'])
  t.is(one.resumeAt(), 11)
  one.take(events(10, 9))
  t.deepEqual(one.seen, [9])
})

test('a compacted start is reported with the created watch, and ends it', (t) => {
  const one = watch(2)
  const gone = answer(9, { canceled: true, compactRevision: 6 })
  t.deepEqual(one.take(created(9), gone), ['created 9', 'compacted', 'end'])
  t.deepEqual(one.take(events(9, 7)), [])
  const both = answer(9, { created: true, canceled: true, compactRevision: 6 })
  t.deepEqual(watch(2).take(both), ['created 9', 'compacted', 'end'])
})

test('a watch that is refused ends with the reason of the server', (t) => {
  const refused = answer(9, { created: true, canceled: true, cancelReason: 'no such range' })
  t.deepEqual(watch().take(refused), ['fail 3 no such range'])
})

test('a watch that the server gives up is resumed', (t) => {
  const one = watch()
  one.take(created(3), events(4, 4))
  const dropped = answer(5, { canceled: true, cancelReason: 'etcdserver: no leader' })
  t.deepEqual(one.take(dropped), ['reopen'])
  t.is(one.resumeAt(), 5)
})

test('a final status ends the watch, every other one reopens it', (t) => {
  for (const status of [3, 5, 7, 9, 11, 12, 16])
    t.deepEqual(watch().take({ kind: 'broken', status, message: 'm' }), [`fail ${status} m`])
  for (const status of [0, 1, 2, 4, 8, 10, 13, 14, 15])
    t.deepEqual(watch().take({ kind: 'broken', status, message: 'm' }), ['reopen'])
})

test('a watch that meets a learner goes on at another member', (t) => {
  const message = 'etcdserver: rpc not supported for learner'
  t.deepEqual(watch().take({ kind: 'broken', status: 9, message }), ['reopen'])
})

test('events before the creation are a fault of the server', (t) => {
  t.deepEqual(watch(3).take(events(4, 4)).length, 1)
  t.regex(watch(3).take(events(4, 4))[0] ?? '', /^fail 10 /)
})

/** Cuts of a history: how many revisions come per answer, how often the same is repeated, where streams break. */
const delivery = fc.array(
  fc.record({
    count: fc.integer({ min: 1, max: 4 }),
    breaks: fc.boolean(),
    rewind: fc.integer({ min: 0, max: 5 }),
    progress: fc.boolean(),
  }),
  { maxLength: 40 },
)

test('through any breaks and repeats every revision is seen once and in order (K2)', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 }), delivery, (start, cuts) => {
      const one = watch(start)
      one.take(created(1_000))
      let next = start
      for (const { count, breaks, rewind, progress } of cuts) {
        const revisions = Array.from({ length: count }, (_, step) => next + step)
        one.take(events(1_000, ...revisions))
        next += count
        if (progress) one.take(answer(next - 1))
        if (!breaks) continue
        one.take(LOST, created(1_000))
        // A server may start earlier than it was asked to, never later.
        next = Math.max(1, one.resumeAt() - rewind)
      }
      const last = one.seen.at(-1) ?? start - 1
      t.deepEqual(
        one.seen,
        Array.from({ length: last - start + 1 }, (_, step) => start + step),
      )
    }),
  )
})
