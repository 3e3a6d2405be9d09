import test from 'ava'
import fc from 'fast-check'
import { HakiriError, type Code } from '../lib/error.ts'
import { INITIAL, isFinal, transition, type ShardEvent, type ShardState } from './run.ts'

const LIMITS = { retriesMax: 2 }
const transient = new HakiriError('SOURCE_UNREACHABLE', 'away')
const auth = new HakiriError('SOURCE_AUTH', 'no')

const states = {
  queued: { kind: 'queued' },
  acquiring: { kind: 'acquiring', attempt: 1 },
  reading: { kind: 'reading', attempt: 1 },
  flushing: { kind: 'flushing', attempt: 1, next: 'done' },
  stopping: { kind: 'flushing', attempt: 1, next: 'stopped' },
  backoff: { kind: 'backoff', attempt: 1, error: transient },
  done: { kind: 'done' },
  stopped: { kind: 'stopped' },
  fenced: { kind: 'fenced' },
  failed: { kind: 'failed', error: auth },
} as const satisfies Record<string, ShardState>

const events = {
  start: { kind: 'start' },
  acquired: { kind: 'acquired' },
  committed: { kind: 'committed' },
  ended: { kind: 'ended' },
  flushed: { kind: 'flushed' },
  timer: { kind: 'timer' },
  stop: { kind: 'stop' },
  fenced: { kind: 'fenced' },
  transient: { kind: 'failed', error: transient },
  auth: { kind: 'failed', error: auth },
} as const satisfies Record<string, ShardEvent>

/** Every cell: the next state and the effects, in short. `-` changes nothing. */
const TABLE: Record<keyof typeof states, Record<keyof typeof events, string>> = {
  queued: {
    start: 'acquiring acquire',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: '-',
    timer: '-',
    stop: 'stopped drop',
    fenced: 'fenced drop',
    transient: 'backoff drop,wait',
    auth: 'failed drop',
  },
  acquiring: {
    start: '-',
    acquired: 'reading read',
    committed: '-',
    ended: '-',
    flushed: '-',
    timer: '-',
    stop: 'stopped drop',
    fenced: 'fenced drop',
    transient: 'backoff drop,wait',
    auth: 'failed drop',
  },
  reading: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: 'flushing flush',
    flushed: '-',
    timer: '-',
    stop: 'flushing flush',
    fenced: 'fenced drop',
    transient: 'backoff drop,wait',
    auth: 'failed drop',
  },
  flushing: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: 'done ',
    timer: '-',
    stop: '-',
    fenced: 'fenced drop',
    transient: 'backoff drop,wait',
    auth: 'failed drop',
  },
  stopping: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: 'stopped ',
    timer: '-',
    stop: '-',
    fenced: 'fenced drop',
    transient: 'failed drop',
    auth: 'failed drop',
  },
  backoff: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: '-',
    timer: 'acquiring acquire',
    stop: 'stopped drop',
    fenced: 'fenced drop',
    transient: 'backoff drop,wait',
    auth: 'failed drop',
  },
  done: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: '-',
    timer: '-',
    stop: '-',
    fenced: '-',
    transient: '-',
    auth: '-',
  },
  stopped: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: '-',
    timer: '-',
    stop: '-',
    fenced: '-',
    transient: '-',
    auth: '-',
  },
  fenced: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: '-',
    timer: '-',
    stop: '-',
    fenced: '-',
    transient: '-',
    auth: '-',
  },
  failed: {
    start: '-',
    acquired: '-',
    committed: '-',
    ended: '-',
    flushed: '-',
    timer: '-',
    stop: '-',
    fenced: '-',
    transient: '-',
    auth: '-',
  },
}

for (const [stateName, row] of Object.entries(TABLE)) {
  for (const [eventName, expected] of Object.entries(row)) {
    test(`${stateName} meets ${eventName}: ${expected}`, (t) => {
      const state = states[stateName as keyof typeof states]
      const next = transition(state, events[eventName as keyof typeof events], LIMITS)
      if (expected === '-') {
        t.deepEqual(next, { state, effects: [] })
        return
      }
      t.is(`${next.state.kind} ${next.effects.map((effect) => effect.kind).join(',')}`, expected)
    })
  }
}

test('a stop while reading commits up to the last safe point and drops the rest', (t) => {
  const { effects } = transition(states.reading, events.stop, LIMITS)
  t.deepEqual(effects, [{ kind: 'flush', complete: false }])
})

test('attempts count from the last commit, so progress is never punished', (t) => {
  const tired: ShardState = { kind: 'reading', attempt: 3 }
  t.is(transition(tired, events.transient, LIMITS).state.kind, 'failed')
  const rested = transition(tired, events.committed, LIMITS).state
  t.is(transition(rested, events.transient, LIMITS).state.kind, 'backoff')
})

test('transient and rate failures are retried, all others are not', (t) => {
  const kindAfter = (code: Code): string =>
    transition(states.reading, { kind: 'failed', error: new HakiriError(code, '') }, LIMITS).state
      .kind
  t.is(kindAfter('SOURCE_UNREACHABLE'), 'backoff')
  t.is(kindAfter('SOURCE_RATE'), 'backoff')
  t.is(kindAfter('SOURCE_AUTH'), 'failed')
  t.is(kindAfter('SOURCE_DATA'), 'failed')
  t.is(kindAfter('SOURCE_FATAL'), 'failed')
})

test('whatever happens, a final state stays and failures in a row are bounded', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...Object.values(events)), { maxLength: 60 }),
      (sequence) => {
        let state: ShardState = INITIAL
        for (const event of sequence) {
          const before = state
          const { state: after, effects } = transition(state, event, LIMITS)
          if (isFinal(before) && (after !== before || effects.length > 0)) return false
          if ('attempt' in after && after.attempt > LIMITS.retriesMax + 1) return false
          // Only a shard that reads may flush.
          if (effects.some((effect) => effect.kind === 'flush') && before.kind !== 'reading')
            return false
          state = after
        }
        return true
      },
    ),
  )
  t.pass()
})
