/**
 * Whoever has to know that nothing newer was acknowledged elsewhere. What waits at the end of a turn
 * shares one read round of Raft; what a round found is given out once the state has got there. A round
 * that failed, or that a pause of this process has overtaken, is followed by a fresh one (etcd 20418).
 */
import { NO_REQUEST, answer, fail, isLearner, lateCode } from './core.ts'
import type { ReplicaCore } from './core.ts'
import { proposeDue } from './duties.ts'
import { answerLease, rerouteLease } from './lease-desk.ts'
import type { Reader, ReadState } from './parts.ts'

export function createReads(): ReadState {
  return { waiting: [], asked: new Map(), confirmed: [] }
}

export function submitRead(core: ReplicaCore, request: number): void {
  if (isLearner(core)) return fail(core, request, 'learner')
  if (countReaders(core) >= core.config.tuning.waitingMax)
    return fail(core, request, 'too-many-requests')
  const deadlineMs = core.nowMs + core.config.tuning.requestTimeoutMs
  core.reads.waiting.push({ kind: 'linear', request, deadlineMs })
}

export function countReaders({ reads }: ReplicaCore): number {
  let count = reads.waiting.length
  for (const { readers } of reads.asked.values()) count += readers.length
  for (const { readers } of reads.confirmed) count += readers.length
  return count
}

/** One question for all that came in during this turn. */
export function flushReads(core: ReplicaCore): void {
  const { reads, raft, status } = core
  if (reads.waiting.length === 0) return
  const { outcome, context } = raft.readIndex()
  if (outcome !== 'accepted' && outcome !== 'forwarded') return
  reads.asked.set(context, { term: status.term, readers: reads.waiting })
  reads.waiting = []
}

export function noteConfirmed(core: ReplicaCore, context: number, index: number): void {
  const round = core.reads.asked.get(context)
  if (!round) return
  core.reads.asked.delete(context)
  core.reads.confirmed.push({ ...round, index })
}

export function noteFailed({ reads }: ReplicaCore, context: number): void {
  const round = reads.asked.get(context)
  if (!round) return
  reads.asked.delete(context)
  reads.waiting.push(...round.readers)
}

/** This process stood still for so long that what was confirmed may be history. */
export function distrustRounds({ reads }: ReplicaCore): void {
  for (const { readers } of [...reads.asked.values(), ...reads.confirmed])
    reads.waiting.push(...readers)
  reads.asked.clear()
  reads.confirmed = []
}

/** Gives out what the applied state has reached. */
export function releaseReads(core: ReplicaCore): void {
  const { reads } = core
  if (reads.confirmed.length === 0) return
  const ready = reads.confirmed.filter(({ index }) => index <= core.applied)
  if (ready.length === 0) return
  reads.confirmed = reads.confirmed.filter(({ index }) => index > core.applied)
  for (const { readers, term } of ready) for (const reader of readers) release(core, reader, term)
}

/** A reader that needs the leader's clock gets it only if this member has led since the round began. */
function release(core: ReplicaCore, reader: Reader, term: number): void {
  const leads = core.status.role === 'leader' && core.status.term === term
  switch (reader.kind) {
    case 'linear':
      return answer(core, reader.request, { kind: 'linear' })
    case 'lease':
      return leads ? answerLease(core, reader.call) : rerouteLease(core, reader.call)
    case 'expiry':
      return leads ? proposeDue(core, reader.seenMs) : undefined
  }
}

/** Readers of leases are watched over by the lease desk. */
export function expireReads(core: ReplicaCore): void {
  const { reads } = core
  const isLate = (reader: Reader): boolean => {
    if (reader.kind !== 'linear') return false
    if (reader.request !== NO_REQUEST && reader.deadlineMs > core.nowMs) return false
    fail(core, reader.request, lateCode(core))
    return true
  }
  const keep = (readers: readonly Reader[]): Reader[] => readers.filter((one) => !isLate(one))
  reads.waiting = keep(reads.waiting)
  for (const [context, round] of reads.asked)
    reads.asked.set(context, { ...round, readers: keep(round.readers) })
  reads.confirmed = reads.confirmed.map((round) => ({ ...round, readers: keep(round.readers) }))
}

export function cancelRead({ reads }: ReplicaCore, request: number): boolean {
  const rounds = [...reads.asked.values(), ...reads.confirmed].flatMap(({ readers }) => readers)
  for (const reader of [...reads.waiting, ...rounds]) {
    if (reader.kind !== 'linear' || reader.request !== request) continue
    reader.request = NO_REQUEST
    return true
  }
  return false
}

export function stopReads(core: ReplicaCore): void {
  const { reads } = core
  const rounds = [...reads.asked.values(), ...reads.confirmed].flatMap(({ readers }) => readers)
  for (const reader of [...reads.waiting, ...rounds])
    if (reader.kind === 'linear') fail(core, reader.request, 'stopped')
  Object.assign(reads, createReads())
}
