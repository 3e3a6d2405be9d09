/**
 * What Raft is made of: the log, what must survive a crash, what members say to each other, and what
 * the driver is asked to do. Terms and indexes are safe integers; index 0 is the place before the
 * first entry. Member ids exceed 2^53 and stay bigints.
 */

export type MemberId = bigint
/** Stands where a member could: no vote given, no leader known. */
export const NOBODY: MemberId = 0n

/**
 * `empty` opens a term; `membership` carries a MembershipChange in an encoding that Raft never reads.
 * A membership entry without data stands for the change without changes: a leader adds it by itself
 * to leave a joint change.
 */
export type EntryKind = 'empty' | 'command' | 'membership'

export type Entry = {
  readonly term: number
  readonly index: number
  readonly kind: EntryKind
  readonly data: Uint8Array
}

/** What has to be durable before a message that rests on it may leave (R5). */
export type HardState = { readonly term: number; readonly vote: MemberId; readonly commit: number }

/** Who counts. A joint change is on its way while `outgoing` is not empty: both majorities must agree. */
export type Membership = {
  readonly voters: readonly MemberId[]
  readonly outgoing: readonly MemberId[]
  readonly learners: readonly MemberId[]
  /** Voters of `outgoing` that become learners once the joint change is left. */
  readonly learnersNext: readonly MemberId[]
  /** Whether the leader leaves the joint change by itself as soon as it is committed. */
  readonly autoLeave: boolean
}

export type MemberChange = {
  readonly kind: 'add-voter' | 'add-learner' | 'remove'
  readonly member: MemberId
}
/** One simple change is made in one step; several, or `joint`, go through both majorities. None leaves a joint change. */
export type MembershipChange = {
  readonly changes: readonly MemberChange[]
  readonly joint: boolean
}

/** The place at which a snapshot stands: everything up to `index` is inside. */
export type SnapshotMark = {
  readonly index: number
  readonly term: number
  readonly membership: Membership
}

type Addressed = { readonly from: MemberId; readonly to: MemberId; readonly term: number }

/** What members say to each other. `term` is the sender's, or for pre-votes the one asked for. */
export type Message = Addressed &
  (
    | {
        readonly kind: 'pre-vote' | 'vote'
        readonly lastIndex: number
        readonly lastTerm: number
        /** A leadership transfer: voters answer even while they hear from a leader. */
        readonly isTransfer: boolean
      }
    | {
        readonly kind: 'pre-vote-reply'
        readonly isGranted: boolean
        /** What the voter knows to be committed, and the term of the entry there. */
        readonly commit: number
        readonly hintTerm: number
      }
    | { readonly kind: 'vote-reply'; readonly isGranted: boolean }
    | {
        readonly kind: 'append'
        readonly prevIndex: number
        readonly prevTerm: number
        readonly entries: readonly Entry[]
        readonly commit: number
      }
    | { readonly kind: 'append-reply'; readonly index: number }
    | {
        /** The entry at `index` does not match; the follower's log may agree at `hintIndex`, which has `hintTerm`. */
        readonly kind: 'append-reject'
        readonly index: number
        readonly hintIndex: number
        readonly hintTerm: number
      }
    /** `context` names the newest read round that waits for a quorum; 0 for none. */
    | { readonly kind: 'heartbeat'; readonly commit: number; readonly context: number }
    | { readonly kind: 'heartbeat-reply'; readonly context: number }
    /** From the leader's core: send your newest image. To the follower's core: it has arrived whole. */
    | { readonly kind: 'snapshot'; readonly mark: SnapshotMark }
    /** A follower passes commands on to its leader. */
    | { readonly kind: 'propose'; readonly commands: readonly Uint8Array[] }
    | { readonly kind: 'read-index'; readonly context: number }
    | { readonly kind: 'read-index-reply'; readonly context: number; readonly index: number }
    /** A follower passes on the wish to move leadership. */
    | { readonly kind: 'transfer'; readonly target: MemberId }
    | { readonly kind: 'timeout-now' }
  )

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

/**
 * One portion of work for the driver, in this order: install `snapshot`, make `hardState` and
 * `entries` durable, report `persisted(number)`. Portions are made durable in order; several may be
 * under way at once.
 */
export type Ready = {
  /** Counts from 1 within one life of the core. */
  readonly number: number
  readonly snapshot: SnapshotMark | undefined
  readonly hardState: HardState | undefined
  /** Replaces whatever the log holds at or after the first of them. */
  readonly entries: readonly Entry[]
  /** Whether anything here must reach the disk before `messagesAfterSync` leave. */
  readonly mustSync: boolean
  /** May leave at once, before anything of this portion is durable. */
  readonly messages: readonly Message[]
  /** May leave only after this portion, and every one before it, is durable (R6). */
  readonly messagesAfterSync: readonly Message[]
  /** To be applied in order: committed, and durable here. */
  readonly committed: readonly Entry[]
  /** Reads that may be answered once `index` is applied. */
  readonly reads: readonly { readonly context: number; readonly index: number }[]
  /** Read rounds that can no longer be answered: leader or term changed. */
  readonly failedReads: readonly number[]
}

export type RaftConfig = {
  readonly self: MemberId
  /** A follower campaigns after hearing nothing for this many ticks to twice as many, by lot. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Read contexts count up from here; chosen by lot for each life, so that no late reply fits a new round. */
  readonly firstContext: number
  readonly inflightAppendsMax: number
  readonly appendBytesMax: number
  /** A leader refuses commands while more than this waits to be committed. */
  readonly uncommittedBytesMax: number
}

/** Where the core takes up: what the disk held. */
export type RaftStart = {
  readonly hardState: HardState
  /** What the log begins after; membership as of `applied`. */
  readonly mark: SnapshotMark
  /** Contiguous from `mark.index + 1`. */
  readonly entries: readonly Entry[]
  /** Entries up to here are in the image already and are not handed out again. */
  readonly applied: number
}

/** What became of a request to the core. */
export type Outcome =
  | 'accepted'
  /** Passed on to the leader; it may be lost on the way. */
  | 'forwarded'
  | 'no-leader'
  /** Too much is waiting to be committed. */
  | 'overloaded'
  /** Leadership is on its way to another member. */
  | 'transferring'
  /** Another membership change is under way, or this one makes no sense now. */
  | 'refused'

/** A follower as the leader sees it. */
export type FollowerView = {
  readonly member: MemberId
  readonly match: number
  readonly state: 'probe' | 'replicate' | 'snapshot'
  readonly isActive: boolean
  readonly isLearner: boolean
  readonly inflight: number
}

export type RaftStatus = {
  readonly self: MemberId
  readonly role: Role
  readonly term: number
  readonly vote: MemberId
  readonly leader: MemberId
  readonly commit: number
  readonly applied: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly membership: Membership
  readonly transferee: MemberId
  /** Empty on all but a leader. */
  readonly followers: readonly FollowerView[]
  /** Ticks since this member last heard from a leader, or as leader since it last confirmed its quorum. */
  readonly ticksSinceContact: number
  readonly uncommittedBytes: number
  /** Of all entries in memory. */
  readonly logBytes: number
}

/**
 * The core: a deterministic function of its inputs. It never waits, never looks at a clock and never
 * touches the world; after each input the driver takes what there is to do with `takeReady`.
 */
export type Raft = {
  step(message: Message): void
  tick(): void
  /** Starts an election now, as if the timeout had passed. */
  campaign(): void
  propose(commands: readonly Uint8Array[]): Outcome
  /** `data` is the whole entry; `change` is what it will mean. Only on the leader. */
  proposeMembership(data: Uint8Array, change: MembershipChange): Outcome
  /** Asks for a linearizable read; `context` comes back in `reads` or `failedReads`. */
  readIndex(): { readonly outcome: Outcome; readonly context: number }
  transferLeadership(target: MemberId): Outcome
  takeReady(): Ready | undefined
  /** Everything up to and including portion `number` is durable. */
  persisted(number: number): void
  /** Every entry up to `index` is applied. */
  applied(index: number): void
  /** Called when a membership entry is applied, in log order; gives the membership from now on. */
  applyMembership(change: MembershipChange): Membership
  /** A snapshot for `member` was delivered, or failed on the way. */
  reportSnapshot(member: MemberId, isDelivered: boolean): void
  reportUnreachable(member: MemberId): void
  /** Nobody listens any more where `member` was. A hint: it may be wrong. */
  reportGone(member: MemberId): void
  /** Forgets entries up to `mark.index`: a snapshot stands there. */
  compact(mark: SnapshotMark): void
  termAt(index: number): number | undefined
  status(): RaftStatus
}
