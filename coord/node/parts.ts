/** What the parts of a replica remember, each in a file of its own; together they are its state. */
import type { RevisionSample } from '../kv/compaction-policy.ts'
import type { KvCommand } from '../kv/types.ts'
import type { MemberId } from '../raft/types.ts'
import type { LeaseQuestion, MemberQuestion } from './transport.ts'
import type { Formation } from './types.ts'

/** A write that waits to be applied. */
export type WaitingProposal = {
  /** Becomes NO_REQUEST when nobody waits any more. */
  request: number
  readonly command: KvCommand
  readonly bytes: Uint8Array
  readonly deadlineMs: number
  isSent: boolean
}

export type ProposalState = {
  lastSeq: number
  /** In the order of their numbers. */
  readonly waiting: Map<number, WaitingProposal>
  waitingBytes: number
  /** Numbers that are to be sent, in rising order. */
  outbox: number[]
  /** When silence about all that was sent means that it was lost on the way to the leader. */
  lostFromMs: number
  failed: number
}

export type Reader =
  | { readonly kind: 'linear'; request: number; readonly deadlineMs: number }
  | { readonly kind: 'lease'; readonly call: LeaseCall }
  /** Leases that were due at `seenMs` are to be ended. */
  | { readonly kind: 'expiry'; readonly seenMs: number }

type Round = { readonly term: number; readonly readers: Reader[] }

export type ReadState = {
  /** Waits for a round. */
  waiting: Reader[]
  /** By Raft's context: asked, not confirmed. */
  readonly asked: Map<number, Round>
  /** Confirmed, until the index is applied. */
  confirmed: (Round & { readonly index: number })[]
}

/** A question, and who asked: a client of this member, or another member. */
export type LeaseCall = {
  readonly question: LeaseQuestion
  readonly asker:
    | { readonly kind: 'client'; readonly request: number }
    | { readonly kind: 'member'; readonly member: MemberId; readonly id: number }
  readonly deadlineMs: number
  /** Answered, given up, or nobody waits. */
  isOver: boolean
}

type Passed = { readonly call: LeaseCall; readonly atMs: number }

export type LeaseState = {
  lastId: number
  /** Leases that have ended because nobody renewed them, while this member led. */
  expired: number
  /** Everything not answered yet, by clients of this member or others. */
  readonly open: Set<LeaseCall>
  /** Passed on to the leader, by number. */
  readonly passed: Map<number, Passed>
  /** There was no leader to ask. */
  parked: LeaseCall[]
  /** Renewals of leases that are over, until these are revoked. */
  readonly doomed: Map<bigint, LeaseCall[]>
}

export type MemberAsker =
  | { readonly kind: 'client'; readonly request: number }
  | { readonly kind: 'member'; readonly member: MemberId; readonly id: number }
  /** This leader itself, which promotes learners that have caught up. */
  | { readonly kind: 'nobody' }

export type MemberCall = {
  readonly question: MemberQuestion
  readonly asker: MemberAsker
  readonly deadlineMs: number
}
export type RunningChange = {
  readonly call: MemberCall
  readonly member: MemberId
  readonly seq: number
}
type PassedQuestion = { readonly request: number; readonly deadlineMs: number }
type ArrivingChange = PassedQuestion & { readonly member: MemberId; readonly index: number }

export type MemberDesk = {
  lastId: number
  /** At the leader: in the order they came. */
  queue: MemberCall[]
  running: RunningChange | undefined
  /** PassedQuestion on to the leader, by number. */
  passed: Map<number, PassedQuestion & { readonly question: MemberQuestion }>
  /** Answered by the leader, not yet applied here. */
  arriving: ArrivingChange[]
  /** Clients that want leadership moved, until it has. */
  moving: (PassedQuestion & { readonly target: MemberId })[]
}

export type LevelState = {
  /** As of what is applied. */
  now: number
  /** Whether the image lacks it. */
  isChanged: boolean
  /** The newest protocol that each of the others has shown to speak, in this life of this member. */
  readonly spoken: Map<MemberId, number>
  proposeFromMs: number
}

export type FarewellState = {
  /** The removal of this member is applied here. */
  isRemoved: boolean
  /** Who does not listen to this member any more, and since when the first of them. */
  readonly toldBy: Set<MemberId>
  toldFromMs: number | undefined
  /** Of clients of this member who wanted it removed. */
  requests: PassedQuestion[]
}

export type FormationState = {
  kept: Formation
  /** Lives of those who agree, until all do. */
  readonly agreed: Map<MemberId, bigint>
  isBeingKept: boolean
  ticks: number
}

export type ImageState = {
  /** Up to where the image is written, or being written. */
  marked: number
  isWriting: boolean
  /** When the oldest change that the image lacks was applied. */
  sinceMs: number | undefined
  /** Whether everything is to be written without waiting for more. */
  isFlushing: boolean
}

export type DutyState = {
  /** In the term `expiryTerm` a read round is asked for the sake of leases that are over. */
  isExpiryAsked: boolean
  samples: readonly RevisionSample[]
  /** Not before this is a compaction proposed again; this member's attributes; its quota. */
  compactFromMs: number
  introduceFromMs: number
  quotaFromMs: number
  /** Since when learners have kept up without a break. */
  readonly inSyncSince: Map<MemberId, number>
}
