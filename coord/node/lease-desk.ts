/**
 * Renewals and remaining times. Only the leader's clock counts: a follower passes the question on, and
 * the leader answers after a read round, so that one that was deposed without noticing answers nothing.
 * A lease that is over but not yet revoked cannot be renewed; the question waits for its end.
 */
import { assert } from '../../lib/assert.ts'
import { NOBODY } from '../raft/types.ts'
import type { MemberId } from '../raft/types.ts'
import {
  addReader,
  answer,
  electionMs,
  fail,
  isLeader,
  isLearner,
  lateCode,
  sendTo,
} from './core.ts'
import type { ReplicaCore } from './core.ts'
import type { LeaseCall, LeaseState } from './parts.ts'
import type { LeaseAnswer, LeaseQuestion } from './transport.ts'

export function createLeases(): LeaseState {
  return {
    lastId: 0,
    expired: 0,
    open: new Set(),
    passed: new Map(),
    parked: [],
    doomed: new Map(),
  }
}

const MS = 1000

export function submitLease(core: ReplicaCore, request: number, question: LeaseQuestion): void {
  if (isLearner(core)) return fail(core, request, 'learner')
  if (core.leases.open.size >= core.config.tuning.waitingMax)
    return fail(core, request, 'too-many-requests')
  ask(core, question, { kind: 'client', request })
}

/** Another member takes this one for the leader. */
export function receiveLeaseQuestion(
  core: ReplicaCore,
  member: MemberId,
  id: number,
  question: LeaseQuestion,
): void {
  const isFull = core.leases.open.size >= core.config.tuning.waitingMax
  if (!isLeader(core) || isFull) return refuse(core, member, id)
  ask(core, question, { kind: 'member', member, id })
}

function ask(core: ReplicaCore, question: LeaseQuestion, asker: LeaseCall['asker']): void {
  const deadlineMs = core.nowMs + core.config.tuning.requestTimeoutMs
  const call: LeaseCall = { question, asker, deadlineMs, isOver: false }
  core.leases.open.add(call)
  rerouteLease(core, call)
}

function refuse(core: ReplicaCore, member: MemberId, id: number): void {
  const nothing: LeaseAnswer = { outcome: 'not-leader', ttlMs: 0, revision: 0 }
  sendTo(core, member, { kind: 'lease-answer', id, answer: nothing })
}

/** Puts a question where it can be answered now; of another member's, only the leader takes care. */
export function rerouteLease(core: ReplicaCore, call: LeaseCall): void {
  if (call.isOver) return
  const { leader } = core.status
  if (isLeader(core)) addReader(core, { kind: 'lease', call })
  else if (call.asker.kind === 'member') {
    close(core, call)
    refuse(core, call.asker.member, call.asker.id)
  } else if (leader === NOBODY) core.leases.parked.push(call)
  else passOn(core, call, leader)
}

function passOn(core: ReplicaCore, call: LeaseCall, leader: MemberId): void {
  const id = ++core.leases.lastId
  core.leases.passed.set(id, { call, atMs: core.nowMs })
  sendTo(core, leader, { kind: 'lease-question', id, question: call.question })
}

export function receiveLeaseAnswer(core: ReplicaCore, id: number, given: LeaseAnswer): void {
  const passed = core.leases.passed.get(id)
  if (!passed) return
  core.leases.passed.delete(id)
  if (given.outcome === 'not-leader') core.leases.parked.push(passed.call)
  else finish(core, passed.call, given.ttlMs, given.revision)
}

/** A quorum has confirmed this leader since the question came in, and all it had acknowledged is applied. */
export function answerLease(core: ReplicaCore, call: LeaseCall): void {
  if (call.isOver) return
  assert(core.lessor.isPrimary, 'L2: a leader that reads confirm runs the leases')
  // Read before renewing, so that success is never shown at a revision at which the lease was gone.
  const { revision } = core.store
  const { kind, lease } = call.question
  if (kind === 'remaining') {
    finish(core, call, core.lessor.remainingMs(lease, core.nowMs) ?? -1, revision)
  } else if (core.lessor.isExpired(lease, core.nowMs)) {
    const waiting = core.leases.doomed.get(lease)
    if (waiting) waiting.push(call)
    else core.leases.doomed.set(lease, [call])
  } else finish(core, call, core.lessor.renew(lease, core.nowMs) * MS, revision)
}

/** The lease is gone: whoever wanted to renew it comes too late. */
export function noteRevoked(core: ReplicaCore, lease: bigint): void {
  core.lessor.revoked(lease)
  const waiting = core.leases.doomed.get(lease)
  if (!waiting) return
  core.leases.doomed.delete(lease)
  for (const call of waiting) finish(core, call, 0, core.store.revision)
}

function close({ leases }: ReplicaCore, call: LeaseCall): void {
  call.isOver = true
  leases.open.delete(call)
}

function finish(core: ReplicaCore, call: LeaseCall, ttlMs: number, revision: number): void {
  if (call.isOver) return
  close(core, call)
  const { asker } = call
  if (asker.kind === 'client') answer(core, asker.request, { kind: 'lease', ttlMs, revision })
  else {
    const given: LeaseAnswer = { outcome: 'ok', ttlMs, revision }
    sendTo(core, asker.member, { kind: 'lease-answer', id: asker.id, answer: given })
  }
}

/** Leader or term changed: everything is asked again where it can be answered now. */
export function rerouteLeases(core: ReplicaCore): void {
  const { leases } = core
  const calls = [
    ...leases.parked,
    ...[...leases.passed.values()].map(({ call }) => call),
    ...[...leases.doomed.values()].flat(),
  ]
  leases.parked = []
  leases.passed.clear()
  leases.doomed.clear()
  for (const call of calls) rerouteLease(core, call)
}

/** Asks again what was lost on the way, and gives up what is too late. */
export function tickLeases(core: ReplicaCore): void {
  const { leases, nowMs } = core
  for (const call of leases.open) if (call.deadlineMs <= nowMs) giveUp(core, call)
  const parked = leases.parked
  leases.parked = []
  for (const [id, { call, atMs }] of leases.passed) {
    if (!call.isOver && nowMs - atMs < electionMs(core.config)) continue
    leases.passed.delete(id)
    if (!call.isOver) parked.push(call)
  }
  for (const call of parked) rerouteLease(core, call)
}

function giveUp(core: ReplicaCore, call: LeaseCall): void {
  close(core, call)
  if (call.asker.kind === 'client') fail(core, call.asker.request, lateCode(core))
}

export function cancelLease(core: ReplicaCore, request: number): boolean {
  for (const call of core.leases.open) {
    if (call.asker.kind !== 'client' || call.asker.request !== request) continue
    close(core, call)
    return true
  }
  return false
}

export function stopLeases(core: ReplicaCore): void {
  for (const call of core.leases.open) {
    close(core, call)
    if (call.asker.kind === 'client') fail(core, call.asker.request, 'stopped')
  }
}
