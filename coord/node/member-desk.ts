/**
 * Changes of the membership: asked of any member, checked and proposed by the leader, one at a time.
 * An answer comes once the change is applied at the leader and here.
 */
import { NOBODY } from '../raft/types.ts'
import type { MemberChange, MemberId } from '../raft/types.ts'
import { encodeMemberEntry } from './command.ts'
import type { MemberEntry } from './command.ts'
import { NO_REQUEST, answer, fail, isLeader, isLearner, lateCode, sendTo } from './core.ts'
import type { ReplicaCore } from './core.ts'
import { drawMemberId } from './ids.ts'
import { checkQuestion, votersWith } from './member-check.ts'
import type { NodeErrorCode } from './node.ts'
import { REPLACE_LEVEL } from './protocol.ts'
import type { MemberAsker, MemberCall, MemberDesk, RunningChange } from './parts.ts'
import { flushProposals, proposeAttributes } from './proposals.ts'
import type { MemberAnswer, MemberQuestion } from './transport.ts'

export function createMemberDesk(): MemberDesk {
  return {
    lastId: 0,
    queue: [],
    running: undefined,
    passed: new Map(),
    arriving: [],
    moving: [],
  }
}

const QUEUE_MAX = 100

export function submitMember(core: ReplicaCore, request: number, question: MemberQuestion): void {
  const { memberDesk, status } = core
  const deadlineMs = core.nowMs + core.config.tuning.requestTimeoutMs
  if (isLearner(core)) return fail(core, request, 'learner')
  // An older leader would not see whose place is meant.
  if (question.kind === 'add' && question.replaces !== NOBODY && core.level.now < REPLACE_LEVEL)
    return fail(core, request, 'not-everywhere')
  if (memberDesk.queue.length + memberDesk.passed.size >= QUEUE_MAX)
    return fail(core, request, 'too-many-requests')
  if (isLeader(core))
    return enqueue(core, { question, asker: { kind: 'client', request }, deadlineMs })
  if (status.leader === NOBODY) return fail(core, request, 'no-leader')
  const id = ++memberDesk.lastId
  memberDesk.passed.set(id, { request, deadlineMs, question })
  sendTo(core, status.leader, { kind: 'member-question', id, question })
}

export function receiveMemberQuestion(
  core: ReplicaCore,
  member: MemberId,
  id: number,
  question: MemberQuestion,
): void {
  const deadlineMs = core.nowMs + core.config.tuning.requestTimeoutMs
  const call: MemberCall = { question, asker: { kind: 'member', member, id }, deadlineMs }
  if (!isLeader(core)) reject(core, call, 'not-leader')
  else if (core.memberDesk.queue.length >= QUEUE_MAX) reject(core, call, 'too-many-requests')
  else enqueue(core, call)
}

function enqueue(core: ReplicaCore, call: MemberCall): void {
  core.memberDesk.queue.push(call)
  flushMembers(core)
}

/** The leader makes a voter of a learner. */
export function promoteLearner(core: ReplicaCore, member: MemberId): void {
  const { queue, running } = core.memberDesk
  if (running || queue.length > 0) return
  const deadlineMs = core.nowMs + core.config.tuning.requestTimeoutMs
  enqueue(core, { question: { kind: 'promote', member }, asker: { kind: 'nobody' }, deadlineMs })
}

/** Proposes the next change once the one before it is applied. */
export function flushMembers(core: ReplicaCore): void {
  const { memberDesk } = core
  while (isLeader(core) && !memberDesk.running) {
    const call = memberDesk.queue[0]
    if (!call) return
    const refusal = checkQuestion(core, call.question)
    if (refusal) {
      memberDesk.queue.shift()
      reject(core, call, refusal)
      continue
    }
    const running = propose(core, call)
    if (!running) return
    memberDesk.queue.shift()
    memberDesk.running = running
  }
}

/** Undefined when Raft does not take it now; asked again at the next turn. */
function propose(core: ReplicaCore, call: MemberCall): RunningChange | undefined {
  const { question } = call
  if (question.kind === 'update') {
    const { member, peerUrls } = question
    const seq = proposeAttributes(core, { id: member, name: '', peerUrls, clientUrls: [] })
    return seq > 0 ? { call, member, seq } : undefined
  }
  if (!flushProposals(core)) return undefined
  const { change, entry } = describe(core, question)
  const seq = ++core.proposals.lastSeq
  const data = encodeMemberEntry(core.config.origin, seq, entry)
  const outcome = core.raft.proposeMembership(data, entry)
  return outcome === 'accepted' ? { call, member: change.member, seq } : undefined
}

function describe(
  core: ReplicaCore,
  question: Exclude<MemberQuestion, { readonly kind: 'update' }>,
): { readonly change: MemberChange; readonly entry: MemberEntry } {
  const just = (change: MemberChange): { change: MemberChange; entry: MemberEntry } => ({
    change,
    entry: { changes: [change], joint: false },
  })
  if (question.kind === 'remove') return just({ kind: 'remove', member: question.member })
  if (question.kind === 'promote') return describePromotion(core, question.member)
  const { peerUrls, isLearner: learns, replaces } = question
  const isTaken = (id: MemberId): boolean =>
    core.members.get(id) !== undefined || core.members.isRemoved(id)
  const id = drawMemberId(core.config.random, isTaken)
  const { change, entry } = just({ kind: learns ? 'add-learner' : 'add-voter', member: id })
  const member = { id, name: '', peerUrls, clientUrls: [], isLearner: learns, replaces }
  return { change, entry: { ...entry, member } }
}

/** Whoever replaces a voter comes in as that one goes, in one joint change: the cluster never has one less. */
function describePromotion(
  core: ReplicaCore,
  member: MemberId,
): { readonly change: MemberChange; readonly entry: MemberEntry } {
  const change: MemberChange = { kind: 'add-voter', member }
  const next = votersWith(core, member)
  const gone = core.membership.voters.filter((id) => !next.includes(id))
  const changes = [change, ...gone.map((id): MemberChange => ({ kind: 'remove', member: id }))]
  return { change, entry: { changes, joint: gone.length > 0 } }
}

/** An entry of this member's was applied: perhaps the change that is under way. */
export function noteMemberApplied(core: ReplicaCore, seq: number): void {
  const { running } = core.memberDesk
  if (!running || seq < running.seq) return
  core.memberDesk.running = undefined
  if (seq > running.seq) return reject(core, running.call, 'leader-changed', true)
  if (running.call.question.kind === 'remove' && running.member === core.self)
    acceptLater(core, running.call)
  else accept(core, running)
}

/** Who asks a member for its own removal hears of that when the member goes; see farewell.ts. */
function acceptLater(core: ReplicaCore, { asker, deadlineMs }: MemberCall): void {
  if (asker.kind === 'client') core.farewell.requests.push({ request: asker.request, deadlineMs })
  else if (asker.kind === 'member')
    reply(core, asker, { outcome: 'ok', member: core.self, index: core.applied })
}

function accept(core: ReplicaCore, { call, member }: RunningChange): void {
  const { asker } = call
  if (asker.kind === 'client') answer(core, asker.request, { kind: 'member', member })
  else if (asker.kind === 'member')
    reply(core, asker, { outcome: 'ok', member, index: core.applied })
}

function reject(core: ReplicaCore, call: MemberCall, code: NodeErrorCode, isUnknown = false): void {
  const { asker } = call
  if (asker.kind === 'client') fail(core, asker.request, code, isUnknown)
  else if (asker.kind === 'member') reply(core, asker, { outcome: code, member: NOBODY, index: 0 })
}

function reply(
  core: ReplicaCore,
  { member, id }: Extract<MemberAsker, { readonly kind: 'member' }>,
  given: MemberAnswer,
): void {
  sendTo(core, member, { kind: 'member-answer', id, answer: given })
}

export function receiveMemberAnswer(core: ReplicaCore, id: number, given: MemberAnswer): void {
  const { memberDesk } = core
  const passed = memberDesk.passed.get(id)
  if (!passed) return
  memberDesk.passed.delete(id)
  if (given.outcome === 'ok') {
    memberDesk.arriving.push({ ...passed, member: given.member, index: given.index })
    releaseMembers(core)
  } else fail(core, passed.request, given.outcome, given.outcome === 'leader-changed')
}

/** This member is out: whoever asked for that here has what they want, whether the leader says so or not. */
export function acceptOwnRemoval(core: ReplicaCore): void {
  const { farewell, memberDesk, self } = core
  const { passed } = memberDesk
  for (const { request } of farewell.requests)
    answer(core, request, { kind: 'member', member: self })
  farewell.requests = []
  for (const [id, { request, question }] of passed) {
    if (question.kind !== 'remove' || question.member !== self) continue
    passed.delete(id)
    answer(core, request, { kind: 'member', member: self })
  }
}

/** Answers what has become visible here. */
export function releaseMembers(core: ReplicaCore): void {
  const { memberDesk } = core
  for (const { request, member, index } of memberDesk.arriving)
    if (index <= core.applied) answer(core, request, { kind: 'member', member })
  memberDesk.arriving = memberDesk.arriving.filter(({ index }) => index > core.applied)
}

/** Leader or term changed: what was on its way may land or not; nobody can tell. */
export function dropMembers(core: ReplicaCore): void {
  const { memberDesk } = core
  const { running, queue, passed } = memberDesk
  memberDesk.running = undefined
  memberDesk.queue = []
  memberDesk.passed = new Map()
  if (running) reject(core, running.call, 'leader-changed', true)
  for (const call of queue) reject(core, call, 'leader-changed')
  for (const { request } of passed.values()) fail(core, request, 'leader-changed', true)
}

export function submitMove(core: ReplicaCore, request: number, target: MemberId): void {
  if (!isLeader(core)) return fail(core, request, 'not-leader')
  if (!core.membership.voters.includes(target)) return fail(core, request, 'bad-transferee')
  if (target === core.self) return answer(core, request, { kind: 'moved' })
  const outcome = core.raft.transferLeadership(target)
  if (outcome !== 'accepted') return fail(core, request, 'bad-transferee')
  const deadlineMs = core.nowMs + core.config.tuning.requestTimeoutMs
  core.memberDesk.moving.push({ request, deadlineMs, target })
}

/** Somebody leads anew: the wish of those who wanted somebody else is not fulfilled. */
export function noteMoved(core: ReplicaCore): void {
  const { leader } = core.status
  if (leader === NOBODY) return
  for (const { request, target } of core.memberDesk.moving)
    if (target === leader) answer(core, request, { kind: 'moved' })
    else fail(core, request, 'leader-changed')
  core.memberDesk.moving = []
}

export function expireMembers(core: ReplicaCore): void {
  const { memberDesk, farewell, nowMs } = core
  const isLate = ({ deadlineMs }: { readonly deadlineMs: number }): boolean => deadlineMs <= nowMs
  for (const { request } of farewell.requests.filter(isLate)) fail(core, request, 'timed-out', true)
  farewell.requests = farewell.requests.filter((one) => !isLate(one))
  for (const call of memberDesk.queue.filter(isLate)) reject(core, call, lateCode(core))
  memberDesk.queue = memberDesk.queue.filter((call) => !isLate(call))
  for (const [id, passed] of memberDesk.passed) {
    if (!isLate(passed)) continue
    memberDesk.passed.delete(id)
    fail(core, passed.request, lateCode(core), true)
  }
  for (const { request } of memberDesk.arriving.filter(isLate))
    fail(core, request, 'timed-out', true)
  memberDesk.arriving = memberDesk.arriving.filter((one) => !isLate(one))
  for (const { request } of memberDesk.moving.filter(isLate)) fail(core, request, 'timed-out')
  memberDesk.moving = memberDesk.moving.filter((one) => !isLate(one))
}

export function stopMembers(core: ReplicaCore): void {
  const { memberDesk } = core
  const requests = [
    ...[memberDesk.running?.call, ...memberDesk.queue].map((call) =>
      call?.asker.kind === 'client' ? call.asker.request : NO_REQUEST,
    ),
    ...[
      ...memberDesk.passed.values(),
      ...memberDesk.arriving,
      ...memberDesk.moving,
      ...core.farewell.requests,
    ].map(({ request }) => request),
  ]
  for (const request of requests) fail(core, request, 'stopped', true)
  core.farewell.requests = []
  Object.assign(memberDesk, createMemberDesk())
}
