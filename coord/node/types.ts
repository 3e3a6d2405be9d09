/**
 * What goes into a replica and what comes out of it. A replica is Raft, the store, the leases and the
 * requests that wait, as one synchronous and deterministic thing: time and chance are handed in, and
 * everything it wants done is an effect. Effects are carried out in the order they come in; only what
 * their comments allow may overtake.
 */
import type { ImageBatch, ImageRecord } from '../image/image.ts'
import type { Applied, KvCommand, KvLimits, KvStore } from '../kv/types.ts'
import type { WatchHub } from '../kv/watch-types.ts'
import type {
  Entry,
  HardState,
  MemberId,
  Message,
  RaftConfig,
  RaftStatus,
  SnapshotMark,
} from '../raft/types.ts'
import type { WalBatch } from '../wal/wal.ts'
import type { Member, NodeErrorCode } from './node.ts'
import type { ProtocolRange } from './protocol.ts'
import type { MemberAddress, MemberQuestion, PeerMessage } from './transport.ts'

/** What a member is told about itself; `limits` must be the same on all members. */
export type ReplicaConfig = {
  readonly clusterId: bigint
  readonly raft: RaftConfig
  /** Milliseconds between two calls of `tick`. */
  readonly tickMs: number
  /** Drawn by lot for each life of the process, a safe integer above 0. */
  readonly origin: number
  /** Uniform in [0, 1); for the ids of new members. */
  readonly random: () => number
  readonly limits: KvLimits
  /** The quota that this member gives the cluster whenever it leads; without it the quota stays as it is. */
  readonly quotaBytes?: number
  /** What this member says of itself; put into the log when the cluster knows something else. */
  readonly attributes: { readonly name: string; readonly clientUrls: readonly string[] }
  /** What this program speaks, unless it plays an older one. */
  readonly protocols?: ProtocolRange
  readonly tuning: ReplicaTuning
}

export type ReplicaTuning = {
  readonly requestTimeoutMs: number
  /** Requests of each kind that may wait at a time. */
  readonly waitingMax: number
  readonly waitingBytesMax: number
  /** How far apply may lag behind commit before writes are refused. */
  readonly applyLagMax: number
  /** Entries and bytes of the log kept behind the image for members that lag. */
  readonly keepEntries: number
  readonly keepBytes: number
  /** The image is written when so many entries were applied since, or this long after the first of them. */
  readonly imageEntries: number
  readonly imageMs: number
  /** Commands, and bytes of them, that are applied in one go. */
  readonly applyEntriesMax: number
  readonly applyBytesMax: number
  readonly learnersMax: number
  /** A learner that has kept up for so long becomes a voter by itself; 0: never. */
  readonly promoteAfterMs: number
  readonly compaction: { readonly revisions: number; readonly ageMs: number }
}

/** Members that have agreed to begin together, each with the life of its disk; before that nobody votes. */
export type Formation = {
  /** Drawn by lot when the disk was empty. */
  readonly life: bigint
  readonly isFormed: boolean
  /** Those this member formed the cluster with. Empty for one that joined later. */
  readonly lives: ReadonlyMap<MemberId, bigint>
}

/** The state as of `mark`, out of an image. */
export type LoadedState = {
  readonly mark: SnapshotMark
  readonly store: KvStore
  readonly members: ReadonlyMap<MemberId, Member>
  readonly removed: ReadonlySet<MemberId>
  /** Commands seen: for each origin the last sequence number, and where in the log it was. */
  readonly origins: ReadonlyMap<number, { readonly seq: number; readonly index: number }>
  /** The protocol that the cluster had come to. */
  readonly level: number
}

/** Takes the records of an image, in key order, in portions. */
export type StateLoader = {
  add(records: readonly ImageRecord[]): void
  finish(mark: SnapshotMark): LoadedState
}

/** What the disk held. */
export type ReplicaStart = {
  readonly hardState: HardState
  /** The log's mark and what follows it. The state may be ahead of the mark, never behind it. */
  readonly mark: SnapshotMark
  readonly entries: readonly Entry[]
  readonly state: LoadedState
  readonly formation: Formation
}

/** What a client asks of this member; `submit` pairs it with a number of the caller's. */
export type Request =
  | { readonly kind: 'propose'; readonly command: KvCommand }
  /** Answered once everything acknowledged anywhere before is applied here. */
  | { readonly kind: 'linearize' }
  | { readonly kind: 'renew'; readonly lease: bigint }
  | { readonly kind: 'remaining'; readonly lease: bigint }
  | { readonly kind: 'member'; readonly question: MemberQuestion }
  | { readonly kind: 'move-leader'; readonly target: MemberId }

export type Result =
  | { readonly kind: 'applied'; readonly applied: Applied }
  | { readonly kind: 'linear' }
  /** Milliseconds; 0 for a renewal and -1 for a remaining time when there is no such lease. */
  | { readonly kind: 'lease'; readonly ttlMs: number; readonly revision: number }
  | { readonly kind: 'member'; readonly member: MemberId }
  | { readonly kind: 'moved' }
  | {
      readonly kind: 'failed'
      readonly code: NodeErrorCode
      /** A write that may have landed, or may land yet. */
      readonly isUnknown: boolean
    }

export type StopReason =
  | { readonly kind: 'removed' }
  /** Another disk took part under this member's id before: it was lost, or the folder is a new one. */
  | { readonly kind: 'disk-lost'; readonly toldBy: MemberId }
  /** The cluster has come to a protocol that this program does not speak. */
  | { readonly kind: 'too-old'; readonly level: number }

export type Outgoing = { readonly to: MemberId; readonly message: PeerMessage }

export type Effect =
  /** At once; may overtake anything but earlier sends to the same member. */
  | ({ readonly kind: 'send' } & Outgoing)
  /**
   * Send the newest image, its mark in place of the message's; then `snapshotSent`. It is behind what is
   * applied, but reaches to `image`, where the log begins: entries lead on from there.
   */
  | {
      readonly kind: 'send-snapshot'
      readonly to: MemberId
      readonly message: Message & { readonly kind: 'snapshot' }
      readonly image: number
    }
  /**
   * Make the batch durable after all batches before it, then send `thenSend`, then `persisted(number)`
   * (or that of the last of several). Several may be under way. One that follows an `install` waits for it.
   */
  | {
      readonly kind: 'persist'
      readonly number: number
      readonly batch: WalBatch
      readonly thenSend: readonly Outgoing[]
    }
  /** Write this to the image, not synced; then `imageWritten`. Never more than one is under way. */
  | { readonly kind: 'image'; readonly batch: ImageBatch }
  /** The snapshot that has arrived replaces the image, durably; then `snapshotInstalled`. */
  | { readonly kind: 'install'; readonly mark: SnapshotMark }
  | { readonly kind: 'answer'; readonly request: number; readonly result: Result }
  /** Who is to be reached from now on. */
  | { readonly kind: 'members'; readonly members: readonly MemberAddress[] }
  /** Sync the image; if it then reaches to `image` or beyond, release the log up to `log`. */
  | { readonly kind: 'release'; readonly image: number; readonly log: SnapshotMark }
  /** Keep this durably, then `formed`. */
  | { readonly kind: 'form'; readonly formation: Formation }
  /** Cannot go on as a member. Nothing follows. */
  | { readonly kind: 'stop'; readonly reason: StopReason }

export type ReplicaCounts = {
  readonly proposalsWaiting: number
  readonly readsWaiting: number
  readonly leasesWaiting: number
  readonly proposalsFailed: number
  readonly leaderChanges: number
  readonly leasesExpired: number
}

/** The deterministic core of a node. `nowMs` is monotonic and never goes back. */
export type Replica = {
  /** Every `tickMs`, as far as the process gets to it. */
  tick(nowMs: number): void
  receive(from: MemberId, message: PeerMessage, nowMs: number): void
  /** A connection to a member begins: that is what it speaks. */
  greeted(from: MemberId, protocols: ProtocolRange, nowMs: number): void
  submit(request: number, what: Request, nowMs: number): void
  /** Nobody waits for the answer any more. */
  cancel(request: number): void
  persisted(number: number, nowMs: number): void
  imageWritten(mark: SnapshotMark, nowMs: number): void
  /** A whole snapshot lies ready. True: an `install` follows. False: it is not wanted. */
  snapshotArrived(message: Message & { readonly kind: 'snapshot' }, nowMs: number): boolean
  snapshotInstalled(state: LoadedState, nowMs: number): void
  snapshotSent(to: MemberId, isDelivered: boolean, nowMs: number): void
  /** A member refuses this one: it was removed. */
  removedBy(member: MemberId, nowMs: number): void
  unreachable(member: MemberId): void
  /** Nobody listens any more where that member was; it may be wrong. */
  gone(member: MemberId, nowMs: number): void
  formed(nowMs: number): void
  /** Whether `work` has entries to apply; it takes them in slices so that nothing else has to wait. */
  hasWork(): boolean
  work(nowMs: number): void
  /** Writes what the image lacks at the next taking of effects, whatever the thresholds say. */
  flushImage(): void
  /** Begins to hand leadership to the best follower; false if there is none. */
  stepAside(): boolean
  /** Answers everything that waits with `stopped`. */
  stopRequests(): void
  /** What there is to do now, in order. Taken after each turn. */
  takeEffects(): readonly Effect[]

  readonly store: KvStore
  readonly watches: WatchHub
  /** Applied up to here. */
  readonly applied: number
  raftStatus(): RaftStatus
  /** Of Raft's status what is asked for with every request. */
  readonly term: number
  readonly leader: MemberId
  readonly isLearner: boolean
  /** Before the cluster stands: whom this member still waits for. */
  missing(): readonly MemberId[]
  members(): readonly Member[]
  isRemoved(member: MemberId): boolean
  /** What others must speak to be spoken with. */
  protocols(): ProtocolRange
  isFormed(): boolean
  /** Milliseconds without a leader; 0 with one. */
  leaderlessMs(nowMs: number): number
  /** This member's leases, those that expire first in front as far as it knows. */
  leases(): readonly bigint[]
  counts(): ReplicaCounts
}
