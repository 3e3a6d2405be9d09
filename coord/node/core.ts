/**
 * The state of a replica, shared by the files that each know one part of its work, and the few things
 * that all of them do: ask for an effect, answer a request.
 */
import type { KvStore } from '../kv/types.ts'
import type { Lessor } from '../kv/lessor.ts'
import type { WatchHub } from '../kv/watch-types.ts'
import type { Entry, MemberId, Membership, Raft, RaftStatus, SnapshotMark } from '../raft/types.ts'
import { NOBODY } from '../raft/types.ts'
import type { MemberTable } from './member-table.ts'
import type { NodeErrorCode } from './node.ts'
import type { Origins } from './origins.ts'
import type {
  DutyState,
  FarewellState,
  FormationState,
  ImageState,
  LeaseState,
  LevelState,
  MemberDesk,
  ProposalState,
  ReadState,
  Reader,
} from './parts.ts'
import type { PeerMessage } from './transport.ts'
import type { Effect, ReplicaConfig, Result } from './types.ts'

export type ReplicaCore = {
  readonly config: ReplicaConfig
  readonly self: MemberId
  readonly raft: Raft
  effects: Effect[]
  nowMs: number
  store: KvStore
  readonly watches: WatchHub
  readonly lessor: Lessor
  members: MemberTable
  origins: Origins
  /** As of what is applied, like everything here that is not Raft's own. */
  membership: Membership
  applied: number
  appliedTerm: number

  /** Committed entries that are to be applied, and how many of the first portion are. */
  readonly toApply: (readonly Entry[])[]
  applyOffset: number
  /** A snapshot replaces image and state; nothing is applied until it has. */
  isInstalling: boolean
  isStopped: boolean

  /** Raft's view at the last look. */
  status: RaftStatus
  leaderlessFromMs: number | undefined
  leaderChanges: number
  /** A commit index that is durable with the next portion, or never. */
  heldHardState:
    { readonly term: number; readonly vote: MemberId; readonly commit: number } | undefined
  /** A commit index that is durable here, and those on their way to the disk. */
  durableCommit: number
  readonly commitsToDisk: { readonly number: number; readonly commit: number }[]

  readonly proposals: ProposalState
  readonly reads: ReadState
  readonly leases: LeaseState
  readonly memberDesk: MemberDesk
  readonly image: ImageState
  readonly formation: FormationState
  readonly duties: DutyState
  readonly farewell: FarewellState
  level: LevelState
}

export function electionMs({ raft, tickMs }: ReplicaConfig): number {
  return raft.electionTicks * tickMs
}

export function isLeader(core: ReplicaCore): boolean {
  return core.status.role === 'leader'
}

export function isLearner({ membership, self }: ReplicaCore): boolean {
  return !membership.voters.includes(self) && !membership.outgoing.includes(self)
}

export function answer(core: ReplicaCore, request: number, result: Result): void {
  if (request !== NO_REQUEST) core.effects.push({ kind: 'answer', request, result })
}

/** Stands for work that nobody waits for. */
export const NO_REQUEST = 0

export function fail(
  core: ReplicaCore,
  request: number,
  code: NodeErrorCode,
  isUnknown = false,
): void {
  answer(core, request, { kind: 'failed', code, isUnknown })
}

/** To be told, when its time has come, that nothing newer was acknowledged elsewhere. */
export function addReader({ reads }: ReplicaCore, reader: Reader): void {
  reads.waiting.push(reader)
}

export function sendTo(core: ReplicaCore, to: MemberId, message: PeerMessage): void {
  core.effects.push({ kind: 'send', to, message })
}

/** Why something did not come about in time. */
export function lateCode(core: ReplicaCore): NodeErrorCode {
  return core.status.leader === NOBODY ? 'no-leader' : 'timed-out'
}

/** Where the applied state stands. */
export function appliedMark({ applied, appliedTerm, membership }: ReplicaCore): SnapshotMark {
  return { index: applied, term: appliedTerm, membership }
}
