import test from 'ava'
import fc from 'fast-check'
import {
  answerLimitOf,
  marginOf,
  type SessionEffect,
  type SessionInput,
  type SessionState,
  startSession,
  stepSession,
  wakeAt,
} from './session-state.ts'

const TTL = 9_000
const MARGIN = 900
const CHANCE = 0.5

/** A machine with a clock of its own that keeps the list of what it wanted. */
function machine(ttlMs = TTL, sentAt = 0, openedAt = sentAt) {
  const first = startSession(ttlMs, sentAt, openedAt)
  let state = first.state
  let now = openedAt
  const take = (input: SessionInput): string[] => {
    const step = stepSession(state, input, now, CHANCE)
    state = step.state
    return step.effects.map(nameOf)
  }
  return {
    first: first.effects.map(nameOf),
    take,
    at(ms: number, input: SessionInput = { kind: 'time' }): string[] {
      now = ms
      return take(input)
    },
    state: (): SessionState => state,
  }
}

function nameOf(effect: SessionEffect): string {
  return effect.kind === 'lost' ? `lost ${effect.why}` : effect.kind
}

test('a session opens its stream at once and renews at a third of the TTL from the grant', (t) => {
  const session = machine()
  t.deepEqual(session.first, ['open'])
  t.deepEqual(session.at(10, { kind: 'opened' }), [])
  t.is(wakeAt(session.state()), 3_000)
  t.deepEqual(session.at(2_999), [])
  t.deepEqual(session.at(3_000), ['renew'])
})

test('an acknowledged renewal counts from when it was sent', (t) => {
  const session = machine()
  t.is(session.state().certainUntil, TTL - MARGIN)
  session.at(0, { kind: 'opened' })
  session.at(3_000)
  session.at(4_000, { kind: 'acknowledged', ttlSeconds: 9 })
  t.is(session.state().certainUntil, 3_000 + TTL - MARGIN)
  t.is(wakeAt(session.state()), 6_000)
})

test('a stream that opens late renews at once', (t) => {
  const session = machine()
  t.deepEqual(session.at(1_000, { kind: 'broken' }), [])
  t.deepEqual(session.at(1_020), ['open'])
  t.deepEqual(session.at(3_100, { kind: 'opened' }), ['renew'])
})

test('a renewal that is not answered in time is asked on another stream', (t) => {
  const session = machine()
  session.at(0, { kind: 'opened' })
  t.deepEqual(session.at(3_000), ['renew'])
  t.deepEqual(session.at(3_000 + answerLimitOf(TTL) - 1), [])
  t.deepEqual(session.at(3_000 + answerLimitOf(TTL)), ['drop', 'open'])
  t.deepEqual(session.at(4_600, { kind: 'opened' }), ['renew'])
})

test('an opening that takes too long is given up for another one', (t) => {
  const session = machine()
  t.deepEqual(session.at(answerLimitOf(TTL)), ['drop', 'open'])
})

test('without an answer the session is lost at the certain time, not later', (t) => {
  const session = machine()
  session.at(0, { kind: 'opened' })
  session.at(3_000)
  for (let now = 3_100; now < TTL - MARGIN; now += 100)
    for (const name of session.at(now)) t.false(name.startsWith('lost'), `${name} at ${now}`)
  t.true((wakeAt(session.state()) ?? Infinity) <= TTL - MARGIN)
  t.deepEqual(session.at(TTL - MARGIN), ['drop', 'lost expired'])
  t.is(wakeAt(session.state()), undefined)
})

test('an answer that comes after the certain time does not bring a session back', (t) => {
  const session = machine()
  session.at(0, { kind: 'opened' })
  session.at(7_000)
  const late = session.at(TTL - MARGIN, { kind: 'acknowledged', ttlSeconds: 9 })
  t.deepEqual(late, ['drop', 'lost expired'])
  t.deepEqual(session.at(9_000, { kind: 'acknowledged', ttlSeconds: 9 }), [])
  t.is(session.state().phase.kind, 'ended')
})

test('TTL 0 in an answer loses the session at once', (t) => {
  const session = machine()
  session.at(0, { kind: 'opened' })
  session.at(3_000)
  const effects = session.at(3_001, { kind: 'acknowledged', ttlSeconds: 0 })
  t.deepEqual(effects, ['drop', 'lost unknown-lease'])
})

test('a grant that was answered too late is lost before it is used', (t) => {
  t.deepEqual(machine(TTL, 0, TTL - MARGIN).first, ['drop', 'lost expired'])
})

test('broken streams are reopened after pauses that grow and stay short against the TTL', (t) => {
  const session = machine()
  const pauses: number[] = []
  let now = 0
  for (let round = 0; round < 8; round++) {
    session.at(now, { kind: 'broken' })
    t.is(session.state().phase.kind, 'resting')
    const until = wakeAt(session.state()) ?? Infinity
    pauses.push(until - now)
    now = until
    t.deepEqual(session.at(now), ['open'])
  }
  t.deepEqual(
    pauses,
    pauses.toSorted((a, b) => a - b),
  )
  t.true(Math.max(...pauses) <= TTL / 20)
})

test('a stream that breaks twice rests once', (t) => {
  const session = machine()
  session.at(0, { kind: 'broken' })
  const until = wakeAt(session.state())
  session.at(1, { kind: 'broken' })
  t.is(wakeAt(session.state()), until)
})

test('an answer that nobody asked for changes nothing', (t) => {
  const session = machine()
  session.at(0, { kind: 'opened' })
  const before = session.state()
  t.deepEqual(session.at(100, { kind: 'acknowledged', ttlSeconds: 9 }), [])
  t.deepEqual(session.state(), before)
})

/** What happens to a session in a run, with the time that passes before it. */
const happening = fc.record({
  after: fc.integer({ min: 0, max: 2_000 }),
  what: fc.constantFrom<SessionInput>(
    { kind: 'time' },
    { kind: 'opened' },
    { kind: 'acknowledged', ttlSeconds: 9 },
    { kind: 'broken' },
  ),
})

test('whatever happens, certainty never outlives the last acknowledged send + TTL − margin (L2)', (t) => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
      let now = 0
      let { state } = startSession(TTL, 0, 0)
      let lastSent: number | undefined
      let confirmed = 0
      for (const { after, what } of happenings) {
        now += after
        const wasAsked = state.phase.kind === 'asked'
        const wasCertain = now < state.certainUntil && state.phase.kind !== 'ended'
        const step = stepSession(state, what, now, CHANCE)
        if (what.kind === 'acknowledged' && wasAsked && wasCertain) confirmed = lastSent ?? NaN
        if (step.effects.some(({ kind }) => kind === 'renew')) lastSent = now
        state = step.state
        t.is(state.certainUntil, confirmed + TTL - marginOf(TTL))
        if (!wasCertain) t.is(state.phase.kind, 'ended')
        if (state.phase.kind !== 'ended') t.true((wakeAt(state) ?? NaN) <= state.certainUntil)
      }
    }),
  )
})

test('a session whose every renewal is answered within the limit is never lost', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1_499 }), { maxLength: 50 }), (delays) => {
      let { state } = startSession(TTL, 0, 0)
      state = stepSession(state, { kind: 'opened' }, 0, CHANCE).state
      for (const delay of delays) {
        const renewAt = wakeAt(state) ?? NaN
        const asked = stepSession(state, { kind: 'time' }, renewAt, CHANCE)
        t.deepEqual(asked.effects, [{ kind: 'renew' }])
        const answer = { kind: 'acknowledged', ttlSeconds: 9 } as const
        const answered = stepSession(asked.state, answer, renewAt + delay, CHANCE)
        t.deepEqual(answered.effects, [])
        state = answered.state
      }
    }),
  )
})
