/**
 * Writes on their way. A command is numbered once and may then be sent again to every new leader:
 * whoever applies it knows the numbers of its origin and takes each at most once, in rising order. So
 * a command whose number was passed by a later one can never land any more, and is proposed afresh.
 * Only time ends the wait without an answer; the outcome is then unknown unless nothing was ever sent.
 */
import { createSlab } from '../../lib/slab.ts'
import type { Applied, KvCommand } from '../kv/types.ts'
import type { MemberAttributes } from '../../proto/gen/raft.ts'
import { encodeAttributes, encodeKvCommand, encodeLevel } from './command.ts'
import { NO_REQUEST, answer, fail, electionMs, isLeader, isLearner, lateCode } from './core.ts'
import type { ReplicaCore } from './core.ts'
import type { ProposalState, WaitingProposal } from './parts.ts'
import type { NodeErrorCode } from './node.ts'

export function createProposals(): ProposalState {
  return { lastSeq: 0, waiting: new Map(), waitingBytes: 0, outbox: [], lostFromMs: 0, failed: 0 }
}

/** What is sent to Raft at a time. */
const PORTION_BYTES = 256 * 1024
const LOST_AFTER_ELECTIONS = 2
/** Commands go into the log and stay there. */
const keep = createSlab()

export function submitProposal(core: ReplicaCore, request: number, command: KvCommand): void {
  const { proposals, config, status } = core
  const { waitingMax, waitingBytesMax, applyLagMax, requestTimeoutMs } = config.tuning
  if (isLearner(core)) return fail(core, request, 'learner')
  const isFull = proposals.waiting.size >= waitingMax || proposals.waitingBytes >= waitingBytesMax
  if (isFull || status.commit - core.applied > applyLagMax) {
    proposals.failed++
    return fail(core, request, 'too-many-requests')
  }
  enqueue(core, request, command, core.nowMs + requestTimeoutMs)
}

function enqueue(core: ReplicaCore, request: number, command: KvCommand, deadlineMs: number): void {
  const { proposals } = core
  if (proposals.waiting.size === 0)
    proposals.lostFromMs = core.nowMs + LOST_AFTER_ELECTIONS * electionMs(core.config)
  const seq = ++proposals.lastSeq
  const bytes = keep(encodeKvCommand(core.config.origin, seq, command))
  proposals.waiting.set(seq, { request, command, bytes, deadlineMs, isSent: false })
  proposals.waitingBytes += bytes.length
  proposals.outbox.push(seq)
}

/** Passes on what is to be sent, as far as it goes; the rest waits for a leader. */
export function flushProposals(core: ReplicaCore): boolean {
  const { proposals } = core
  while (proposals.outbox.length > 0) {
    const count = portionLength(proposals)
    const entries = proposals.outbox.slice(0, count).flatMap((seq) => {
      const waiting = proposals.waiting.get(seq)
      return waiting ? [[seq, waiting] as const] : []
    })
    const commands = entries.map(([, { bytes }]) => bytes)
    const outcome = commands.length === 0 ? 'accepted' : core.raft.propose(commands)
    switch (outcome) {
      case 'accepted':
      case 'forwarded':
        for (const [, waiting] of entries) waiting.isSent = true
        break
      case 'overloaded':
        for (const [seq, waiting] of entries)
          if (!waiting.isSent) giveUp(core, seq, waiting, 'too-many-requests')
        if (entries.some(([, waiting]) => waiting.isSent)) return false
        break
      case 'no-leader':
      case 'transferring':
      case 'refused':
        return false
    }
    proposals.outbox.splice(0, count)
  }
  return true
}

function portionLength({ outbox, waiting }: ProposalState): number {
  let bytes = 0
  for (const [position, seq] of outbox.entries()) {
    bytes += waiting.get(seq)?.bytes.length ?? 0
    if (bytes > PORTION_BYTES && position > 0) return position
  }
  return outbox.length
}

function remove({ proposals }: ReplicaCore, seq: number, waiting: WaitingProposal): void {
  proposals.waiting.delete(seq)
  proposals.waitingBytes -= waiting.bytes.length
}

function giveUp(
  core: ReplicaCore,
  seq: number,
  waiting: WaitingProposal,
  code: NodeErrorCode,
): void {
  remove(core, seq, waiting)
  core.proposals.failed++
  fail(core, waiting.request, code, waiting.isSent)
}

/**
 * Something that nobody waits for, and that is not sent again: the next occasion brings it anew. Not
 * taken while older numbers wait to be sent, for it would pass them.
 */
export function proposeAside(core: ReplicaCore, command: KvCommand): boolean {
  return proposeBytesAside(core, (seq) => encodeKvCommand(core.config.origin, seq, command)) > 0
}

/** The number under which the attributes go into the log; 0 if they could not be proposed. */
export function proposeAttributes(core: ReplicaCore, attributes: MemberAttributes): number {
  return proposeBytesAside(core, (seq) => encodeAttributes(core.config.origin, seq, attributes))
}

/** The protocol that everyone speaks is to be used from now on. */
export function proposeLevel(core: ReplicaCore, level: number): void {
  proposeBytesAside(core, (seq) => encodeLevel(core.config.origin, seq, level))
}

function proposeBytesAside(core: ReplicaCore, encode: (seq: number) => Uint8Array): number {
  if (!flushProposals(core)) return 0
  const seq = ++core.proposals.lastSeq
  const outcome = core.raft.propose([encode(seq)])
  return outcome === 'accepted' || outcome === 'forwarded' ? seq : 0
}

/** A command of this member was applied; what was numbered before it and is still missing never will be. */
export function noteOwnApplied(core: ReplicaCore, seq: number, applied: Applied | undefined): void {
  const { waiting } = core.proposals
  core.proposals.lostFromMs = core.nowMs + LOST_AFTER_ELECTIONS * electionMs(core.config)
  for (const [number, passed] of waiting) {
    if (number >= seq) break
    remove(core, number, passed)
    if (passed.request !== NO_REQUEST)
      enqueue(core, passed.request, passed.command, passed.deadlineMs)
  }
  const own = waiting.get(seq)
  if (!own) return
  remove(core, seq, own)
  if (applied) answer(core, own.request, { kind: 'applied', applied })
}

/**
 * A snapshot took the place of entries, and with them of the answers that they held: what is numbered
 * up to `seq` may be inside or may never land, and nobody can tell.
 */
export function noteOwnSwallowed(core: ReplicaCore, seq: number): void {
  for (const [number, waiting] of core.proposals.waiting) {
    if (number > seq) break
    giveUp(core, number, waiting, 'timed-out')
  }
}

/** There is a new leader, or a new term: what was sent may be lost, and is sent again. */
export function resendProposals({ proposals, nowMs, config }: ReplicaCore): void {
  proposals.outbox = [...proposals.waiting.keys()]
  proposals.lostFromMs = nowMs + LOST_AFTER_ELECTIONS * electionMs(config)
}

/** What is lost between two members that both go on is sent again, and what is too late given up. */
export function tickProposals(core: ReplicaCore): void {
  const { proposals, nowMs } = core
  if (proposals.waiting.size === 0) return
  for (const [seq, waiting] of proposals.waiting)
    if (waiting.deadlineMs <= nowMs) giveUp(core, seq, waiting, lateCode(core))
  if (nowMs >= proposals.lostFromMs && !isLeader(core)) resendProposals(core)
}

export function stopProposals(core: ReplicaCore): void {
  for (const [seq, waiting] of core.proposals.waiting) giveUp(core, seq, waiting, 'stopped')
}

export function cancelProposal({ proposals }: ReplicaCore, request: number): boolean {
  for (const waiting of proposals.waiting.values()) {
    if (waiting.request !== request) continue
    waiting.request = NO_REQUEST
    return true
  }
  return false
}
