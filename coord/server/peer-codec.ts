/**
 * What members say to each other, between its types in the node and its bytes on the wire. A message
 * of a kind that this version does not know comes out as undefined, so that a newer member can speak
 * to an older one.
 */
import { unreachable } from '../../lib/assert.ts'
import { createSlab } from '../../lib/slab.ts'
import {
  EntryKind,
  LeaseOutcome,
  LeaseQuestionKind,
  MemberQuestionKind,
  MessageKind,
} from '../../proto/gen/raft.ts'
import type * as wire from '../../proto/gen/raft.ts'
import type { NodeErrorCode } from '../node/node.ts'
import type { LeaseQuestion, MemberQuestion, PeerMessage } from '../node/transport.ts'
import type { EntryKind as RaftEntryKind, Message, SnapshotMark } from '../raft/types.ts'

/** What the generated codecs take. */
export type WirePeerMessage = Parameters<typeof wire.encodePeerMessage>[0]
type WireMessage = Parameters<typeof wire.encodeMessage>[0]

const ENTRY_KINDS: Readonly<Record<RaftEntryKind, number>> = EntryKind
const ENTRY_KIND_OF = inverted(ENTRY_KINDS)

const MESSAGE_KINDS: Readonly<Record<Message['kind'], number>> = {
  'pre-vote': MessageKind.preVote,
  'pre-vote-reply': MessageKind.preVoteReply,
  vote: MessageKind.vote,
  'vote-reply': MessageKind.voteReply,
  append: MessageKind.append,
  'append-reply': MessageKind.appendReply,
  'append-reject': MessageKind.appendReject,
  heartbeat: MessageKind.heartbeat,
  'heartbeat-reply': MessageKind.heartbeatReply,
  snapshot: MessageKind.snapshot,
  propose: MessageKind.propose,
  'read-index': MessageKind.readIndex,
  'read-index-reply': MessageKind.readIndexReply,
  transfer: MessageKind.transfer,
  'timeout-now': MessageKind.timeoutNow,
}
const MESSAGE_KIND_OF = inverted(MESSAGE_KINDS)

const LEASE_KINDS: Readonly<Record<LeaseQuestion['kind'], number>> = LeaseQuestionKind
const LEASE_KIND_OF = inverted({ renew: LEASE_KINDS.renew, remaining: LEASE_KINDS.remaining })

const MEMBER_KINDS: Readonly<Record<MemberQuestion['kind'], number>> = {
  add: MemberQuestionKind.add,
  remove: MemberQuestionKind.removeMember,
  update: MemberQuestionKind.update,
  promote: MemberQuestionKind.promote,
}
const MEMBER_KIND_OF = inverted(MEMBER_KINDS)

/** A closed set, so that a code of a newer member is not taken for one of ours. */
const OUTCOMES: ReadonlySet<string> = new Set<NodeErrorCode | 'ok'>([
  'ok',
  'no-leader',
  'leader-changed',
  'timed-out',
  'too-many-requests',
  'request-too-large',
  'stopped',
  'not-leader',
  'learner',
  'bad-transferee',
  'member-not-found',
  'member-exists',
  'peer-urls-exist',
  'not-enough-started',
  'too-many-learners',
  'learner-not-ready',
  'not-a-learner',
  'not-everywhere',
  'unhealthy',
  'cancelled',
])

function inverted<K extends string>(table: Readonly<Record<K, number>>): ReadonlyMap<number, K> {
  return new Map(Object.entries<number>(table).map(([key, value]) => [value, key as K]))
}

// ── To the wire ──────────────────────────────────────────────────────────────────────────────────

/** The shape that the generated codec encodes. */
export function toWire(message: PeerMessage): WirePeerMessage {
  switch (message.kind) {
    case 'raft':
      return { raft: messageToWire(message.message) }
    case 'lease-question': {
      const { kind, lease } = message.question
      return { leaseQuestion: { id: message.id, kind: LEASE_KINDS[kind], lease } }
    }
    case 'lease-answer': {
      const { outcome, ttlMs, revision } = message.answer
      const code = outcome === 'ok' ? LeaseOutcome.ok : LeaseOutcome.notLeader
      return { leaseAnswer: { id: message.id, outcome: code, ttlMs: Math.floor(ttlMs), revision } }
    }
    case 'member-question':
      return { memberQuestion: { id: message.id, ...questionToWire(message.question) } }
    case 'member-answer':
      return { memberAnswer: { id: message.id, ...message.answer } }
    case 'form-question':
      return { formQuestion: { life: message.life } }
    case 'form-answer': {
      const { life, asked, isFormed, isAgreed } = message
      return { formAnswer: { life, asked, isFormed, isAgreed } }
    }
  }
  return unreachable(message)
}

function questionToWire(question: MemberQuestion): Parameters<typeof wire.encodeMemberQuestion>[0] {
  return { ...question, kind: MEMBER_KINDS[question.kind] }
}

export function messageToWire(message: Message): WireMessage {
  const kind = MESSAGE_KINDS[message.kind]
  if (message.kind !== 'append') return { ...message, kind }
  const { from, to, term, prevIndex, prevTerm, commit } = message
  const entries = message.entries.map((entry) => ({ ...entry, kind: ENTRY_KINDS[entry.kind] }))
  return { kind, from, to, term, prevIndex, prevTerm, commit, entries }
}

/** What goes into the log stays long after the frame that brought it. */
const keep = createSlab()

// ── From the wire ────────────────────────────────────────────────────────────────────────────────

/** Undefined for what this version does not know. */
export function fromWire(message: wire.PeerMessage): PeerMessage | undefined {
  if (message.raft) {
    const raft = messageFromWire(message.raft)
    return raft && { kind: 'raft', message: raft }
  }
  if (message.leaseQuestion) {
    const { id, kind: code, lease } = message.leaseQuestion
    const kind = LEASE_KIND_OF.get(code)
    return kind && { kind: 'lease-question', id, question: { kind, lease } }
  }
  if (message.leaseAnswer) return leaseAnswerFromWire(message.leaseAnswer)
  if (message.memberQuestion) {
    const question = questionFromWire(message.memberQuestion)
    return question && { kind: 'member-question', id: message.memberQuestion.id, question }
  }
  if (message.memberAnswer) return memberAnswerFromWire(message.memberAnswer)
  if (message.formQuestion) return { kind: 'form-question', life: message.formQuestion.life }
  return message.formAnswer && { kind: 'form-answer', ...message.formAnswer }
}

function leaseAnswerFromWire(message: wire.LeaseAnswer): PeerMessage | undefined {
  const { id, outcome: code, ttlMs, revision } = message
  if (code !== LeaseOutcome.ok && code !== LeaseOutcome.notLeader) return undefined
  const outcome = code === LeaseOutcome.ok ? 'ok' : 'not-leader'
  return { kind: 'lease-answer', id, answer: { outcome, ttlMs, revision } }
}

function memberAnswerFromWire(message: wire.MemberAnswer): PeerMessage {
  const { id, outcome: text, member, index } = message
  const outcome = OUTCOMES.has(text) ? (text as NodeErrorCode | 'ok') : 'unhealthy'
  return { kind: 'member-answer', id, answer: { outcome, member, index } }
}

function questionFromWire(message: wire.MemberQuestion): MemberQuestion | undefined {
  const { member, peerUrls, isLearner, replaces } = message
  const kind = MEMBER_KIND_OF.get(message.kind)
  switch (kind) {
    case undefined:
      return undefined
    case 'add':
      return { kind, peerUrls, isLearner, replaces }
    case 'update':
      return { kind, member, peerUrls }
    case 'remove':
    case 'promote':
      return { kind, member }
  }
  return unreachable(kind)
}

export function messageFromWire(message: wire.Message): Message | undefined {
  const kind = MESSAGE_KIND_OF.get(message.kind)
  const { from, to, term, commit, context, index } = message
  switch (kind) {
    case undefined:
      return undefined
    case 'pre-vote':
    case 'vote': {
      const { lastIndex, lastTerm, isTransfer } = message
      return { kind, from, to, term, lastIndex, lastTerm, isTransfer }
    }
    case 'pre-vote-reply': {
      const { isGranted, hintTerm } = message
      return { kind, from, to, term, isGranted, commit, hintTerm }
    }
    case 'vote-reply':
      return { kind, from, to, term, isGranted: message.isGranted }
    case 'append':
      return appendFromWire(message)
    case 'append-reply':
      return { kind, from, to, term, index }
    case 'append-reject': {
      const { hintIndex, hintTerm } = message
      return { kind, from, to, term, index, hintIndex, hintTerm }
    }
    case 'heartbeat':
      return { kind, from, to, term, commit, context }
    case 'heartbeat-reply':
    case 'read-index':
      return { kind, from, to, term, context }
    case 'snapshot':
      return message.mark && { kind, from, to, term, mark: markFromWire(message.mark) }
    case 'propose':
      return { kind, from, to, term, commands: message.commands.map(keep) }
    case 'read-index-reply':
      return { kind, from, to, term, context, index }
    case 'transfer':
      return { kind, from, to, term, target: message.target }
    case 'timeout-now':
      return { kind, from, to, term }
  }
  return unreachable(kind)
}

/** Undefined when an entry is of an unknown kind: it must not be left out of the middle of a log. */
function appendFromWire(message: wire.Message): Message | undefined {
  const { from, to, term, prevIndex, prevTerm, commit } = message
  const entries = message.entries.flatMap((entry) => {
    const kind = ENTRY_KIND_OF.get(entry.kind)
    return kind ? [{ ...entry, kind, data: keep(entry.data) }] : []
  })
  if (entries.length < message.entries.length) return undefined
  return { kind: 'append', from, to, term, prevIndex, prevTerm, entries, commit }
}

const NO_MEMBERSHIP = { voters: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false }

function markFromWire({ index, term, membership }: wire.SnapshotMark): SnapshotMark {
  return { index, term, membership: membership ?? NO_MEMBERSHIP }
}
