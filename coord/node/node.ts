/**
 * The port of a running member: what the edge (`coord/server`) may ask of it. Every promise settles:
 * with an answer, or with a NodeError. A write that fails with an `unknown` outcome may have landed.
 */
import type { Applied, KvCommand, KvErrorCode, KvStore, LeaseRecord } from '../kv/types.ts'
import type { WatchStream } from '../kv/watch-types.ts'
import type { ImageView } from '../image/image.ts'
import type { MemberId, Role } from '../raft/types.ts'

export type NodeErrorCode =
  | 'no-leader'
  | 'leader-changed'
  | 'timed-out'
  | 'too-many-requests'
  | 'request-too-large'
  | 'stopped'
  | 'not-leader'
  | 'learner'
  | 'bad-transferee'
  | 'member-not-found'
  | 'member-exists'
  | 'peer-urls-exist'
  | 'not-enough-started'
  | 'too-many-learners'
  | 'learner-not-ready'
  | 'not-a-learner'
  /** Not every member of the cluster speaks a protocol that has this. */
  | 'not-everywhere'
  | 'unhealthy'
  | 'cancelled'

export class NodeError extends Error {
  override readonly name = 'NodeError'
  readonly code: NodeErrorCode
  constructor(code: NodeErrorCode, details: { readonly cause?: unknown } = {}) {
    super(code, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
  }
}

export type Member = {
  readonly id: MemberId
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
  /** The voter whose place this learner takes once it has caught up; nobody's if 0 or not there. */
  readonly replaces?: MemberId
}

/** What every answer says about its origin. */
export type Header = {
  readonly clusterId: bigint
  readonly memberId: MemberId
  readonly revision: number
  readonly raftTerm: number
}

export type NodeStatus = {
  readonly header: Header
  readonly role: Role
  readonly leader: MemberId
  readonly raftIndex: number
  readonly raftApplied: number
  readonly dbSizeBytes: number
  readonly dbSizeInUseBytes: number
  readonly quotaBytes: number
  readonly walBytes: number
  readonly isLearner: boolean
  readonly errors: readonly string[]
}

export type CoordNode = {
  readonly clusterId: bigint
  readonly memberId: MemberId
  /** Local state, for serializable reads; linearizable ones call `linearize` first. */
  readonly store: KvStore
  header(): Header
  status(): NodeStatus
  hasLeader(): boolean
  /** How long this member has been without a leader, milliseconds; 0 with one. */
  leaderlessMs(): number
  /** Fires whenever the leader is lost for three election timeouts. */
  onLeaderLost(listener: () => void): Disposable
  propose(command: KvCommand, signal: AbortSignal): Promise<Applied>
  /** Resolves once everything acknowledged anywhere before the call is visible here. */
  linearize(signal: AbortSignal): Promise<void>
  /** Renews on the leader; ttl 0 when there is no such lease. */
  renew(
    lease: bigint,
    signal: AbortSignal,
  ): Promise<{ readonly ttl: number; readonly header: Header }>
  /** Whole seconds that remain; -1 when there is no such lease. */
  timeToLive(
    lease: bigint,
    signal: AbortSignal,
  ): Promise<{ readonly ttl: number; readonly record: LeaseRecord | undefined }>
  /** Leases, those that expire first in front. */
  leases(): readonly bigint[]
  /** `wake` is called, at most once until the next `take`, when there may be something to take. */
  watch(wake: () => void): WatchStream
  members(): readonly Member[]
  memberAdd(
    peerUrls: readonly string[],
    isLearner: boolean,
    signal: AbortSignal,
    /** The voter whose place the learner takes; see `Member.replaces`. */
    replaces?: MemberId,
  ): Promise<Member>
  memberRemove(id: MemberId, signal: AbortSignal): Promise<void>
  memberUpdate(id: MemberId, peerUrls: readonly string[], signal: AbortSignal): Promise<void>
  memberPromote(id: MemberId, signal: AbortSignal): Promise<void>
  moveLeader(target: MemberId, signal: AbortSignal): Promise<void>
  snapshot(): Promise<ImageView>
  /** Hands leadership over, finishes what can be finished, closes log and image. */
  stop(signal: AbortSignal): Promise<void>
  /** Rejects when the node cannot go on: a disk that failed. */
  readonly failed: Promise<never>
}

export type NodeOutcomeCode = NodeErrorCode | KvErrorCode
