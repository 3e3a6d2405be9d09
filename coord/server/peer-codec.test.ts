import test from 'ava'
import fc from 'fast-check'
import { decodePeerMessage, encodePeerMessage } from '../../proto/gen/raft.ts'
import type { PeerMessage } from '../node/transport.ts'
import type { Message } from '../raft/types.ts'
import { fromWire, toWire } from './peer-codec.ts'

const nat = fc.maxSafeNat()
const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))
const ids = fc.array(id, { maxLength: 4 })
const urls = fc.array(fc.webUrl(), { maxLength: 3 })
const mark = fc.record({
  index: nat,
  term: nat,
  membership: fc.record({
    voters: ids,
    outgoing: ids,
    learners: ids,
    learnersNext: ids,
    autoLeave: fc.boolean(),
  }),
})
const entry = fc.record({
  term: nat,
  index: nat,
  kind: fc.constantFrom('empty', 'command', 'membership'),
  data: bytes,
})
const about = { from: id, to: id, term: nat }
const RAFT: { readonly [K in Message['kind']]: fc.Arbitrary<Message> } = {
  'pre-vote': voteOf('pre-vote'),
  vote: voteOf('vote'),
  'pre-vote-reply': fc.record({
    kind: fc.constant('pre-vote-reply'),
    ...about,
    isGranted: fc.boolean(),
    commit: nat,
    hintTerm: nat,
  }),
  'vote-reply': fc.record({ kind: fc.constant('vote-reply'), ...about, isGranted: fc.boolean() }),
  append: fc.record({
    kind: fc.constant('append'),
    ...about,
    prevIndex: nat,
    prevTerm: nat,
    commit: nat,
    entries: fc.array(entry, { maxLength: 4 }),
  }),
  'append-reply': fc.record({ kind: fc.constant('append-reply'), ...about, index: nat }),
  'append-reject': fc.record({
    kind: fc.constant('append-reject'),
    ...about,
    index: nat,
    hintIndex: nat,
    hintTerm: nat,
  }),
  heartbeat: fc.record({ kind: fc.constant('heartbeat'), ...about, commit: nat, context: nat }),
  'heartbeat-reply': fc.record({ kind: fc.constant('heartbeat-reply'), ...about, context: nat }),
  snapshot: fc.record({ kind: fc.constant('snapshot'), ...about, mark }),
  propose: fc.record({
    kind: fc.constant('propose'),
    ...about,
    commands: fc.array(bytes, { maxLength: 4 }),
  }),
  'read-index': fc.record({ kind: fc.constant('read-index'), ...about, context: nat }),
  'read-index-reply': fc.record({
    kind: fc.constant('read-index-reply'),
    ...about,
    context: nat,
    index: nat,
  }),
  transfer: fc.record({ kind: fc.constant('transfer'), ...about, target: id }),
  'timeout-now': fc.record({ kind: fc.constant('timeout-now'), ...about }),
}

function voteOf(kind: 'pre-vote' | 'vote'): fc.Arbitrary<Message> {
  const rest = { lastIndex: nat, lastTerm: nat, isTransfer: fc.boolean() }
  return fc.record({ kind: fc.constant(kind), ...about, ...rest })
}

const lease = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })
const PEER: { readonly [K in PeerMessage['kind']]: fc.Arbitrary<PeerMessage> } = {
  raft: fc.oneof(...Object.values(RAFT)).map((message) => ({ kind: 'raft', message })),
  'lease-question': fc.record({
    kind: fc.constant('lease-question'),
    id: nat,
    question: fc.record({ kind: fc.constantFrom('renew', 'remaining'), lease }),
  }),
  'lease-answer': fc.record({
    kind: fc.constant('lease-answer'),
    id: nat,
    answer: fc.record({
      outcome: fc.constantFrom('ok', 'not-leader'),
      ttlMs: fc.integer({ min: -1 }),
      revision: nat,
    }),
  }),
  'member-question': fc.record({
    kind: fc.constant('member-question'),
    id: nat,
    question: fc.oneof(
      fc.record({
        kind: fc.constant('add'),
        peerUrls: urls,
        isLearner: fc.boolean(),
        replaces: id,
      }),
      fc.record({ kind: fc.constantFrom('remove', 'promote'), member: id }),
      fc.record({ kind: fc.constant('update'), member: id, peerUrls: urls }),
    ),
  }),
  'member-answer': fc.record({
    kind: fc.constant('member-answer'),
    id: nat,
    answer: fc.record({
      outcome: fc.constantFrom('ok', 'not-leader', 'learner-not-ready', 'peer-urls-exist'),
      member: id,
      index: nat,
    }),
  }),
  'form-question': fc.record({ kind: fc.constant('form-question'), life: id }),
  'form-answer': fc.record({
    kind: fc.constant('form-answer'),
    asked: id,
    life: id,
    isFormed: fc.boolean(),
    isAgreed: fc.boolean(),
  }),
}

for (const [kind, values] of [...Object.entries(PEER), ...Object.entries(RAFT)])
  test(`a ${kind} comes back from the wire as it went`, (t) => {
    fc.assert(
      fc.property(values, (value) => {
        const message: PeerMessage =
          kind in RAFT ? { kind: 'raft', message: value as Message } : (value as PeerMessage)
        t.deepEqual(fromWire(decodePeerMessage(encodePeerMessage(toWire(message)))), message)
      }),
      { numRuns: 50 },
    )
  })

test('what a newer member says and this one does not know is skipped, never half understood', (t) => {
  const unknown: readonly Parameters<typeof encodePeerMessage>[0][] = [
    {},
    { raft: { kind: 99 } },
    { raft: { kind: 0 } },
    { raft: { kind: 10 } },
    { raft: { kind: 5, entries: [{ kind: 1 }, { kind: 7 }] } },
    { leaseQuestion: { kind: 9 } },
    { leaseAnswer: { outcome: 9 } },
    { memberQuestion: { kind: 9 } },
  ]
  for (const message of unknown)
    t.is(
      fromWire(decodePeerMessage(encodePeerMessage(message))),
      undefined,
      JSON.stringify(message),
    )
  const answer = encodePeerMessage({ memberAnswer: { id: 4, outcome: 'a-new-reason' } })
  t.like(fromWire(decodePeerMessage(answer)), { answer: { outcome: 'unhealthy' } })
})

test('a lease is never told to last longer than it does', (t) => {
  const message: PeerMessage = {
    kind: 'lease-answer',
    id: 1,
    answer: { outcome: 'ok', ttlMs: 999.9, revision: 1 },
  }
  t.like(toWire(message), { leaseAnswer: { ttlMs: 999 } })
})
