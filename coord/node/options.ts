/** What a node needs from whoever puts the parts together. */
import type { Clock, Logger, Random, Scheduler } from '../../lib/ports.ts'
import type { Image } from '../image/image.ts'
import type { HardState, MemberId, SnapshotMark } from '../raft/types.ts'
import type { Wal, WalIdentity, WalObserver, WalRecovery } from '../wal/wal.ts'
import type { CoordNode, Member } from './node.ts'
import type { OpenTransport, PeerInbox } from './transport.ts'
import type { ReplicaTuning } from './types.ts'

/** The durable parts, opened by their own folders; `identity-file.ts` keeps the rest. */
export type NodeStorage = {
  /** Undefined when there is no log yet. */
  openWal(
    identity: WalIdentity,
    observer: WalObserver,
  ): Promise<{ readonly wal: Wal; readonly recovery: WalRecovery } | undefined>
  createWal(
    identity: WalIdentity,
    start: { readonly mark: SnapshotMark; readonly hardState: HardState },
    observer: WalObserver,
  ): Promise<Wal>
  openImage(): Promise<Image>
}

/** How a member with an empty folder begins. A folder that holds something decides for itself. */
export type Boot =
  /** With all others of the same list; ids follow from the token and the list. */
  | {
      readonly kind: 'form'
      readonly token: string
      /** The peer url of each member, this one's included. */
      readonly peerUrls: readonly string[]
      readonly self: string
    }
  /** As a member that was added to a cluster: what its answer to the addition said. */
  | {
      readonly kind: 'join'
      readonly clusterId: bigint
      readonly memberId: MemberId
      readonly members: readonly Member[]
    }

/** Told what happens, for metrics; each function is cheap and never fails. */
export type NodeObserver = {
  readonly onWalSync?: (durationMs: number, batches: number, bytes: number) => void
  readonly onImageWrite?: (durationMs: number) => void
  readonly onApply?: (durationMs: number, entries: number) => void
  readonly onLeaderChange?: () => void
  readonly onProposalCommitted?: (count: number) => void
  readonly onProposalApplied?: (count: number) => void
  readonly onProposalFailed?: () => void
  readonly onSnapshotSent?: () => void
  readonly onLeasesExpired?: (count: number) => void
}

export type NodeOptions = {
  readonly folder: string
  readonly boot: Boot
  readonly attributes: { readonly name: string; readonly clientUrls: readonly string[] }
  readonly storage: NodeStorage
  readonly openTransport: OpenTransport
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly logger: Logger
  readonly observer?: NodeObserver
  /** Between two ticks, which is between two heartbeats. */
  readonly heartbeatMs?: number
  readonly electionMs?: number
  /** Of the whole cluster while this member leads. */
  readonly quotaBytes?: number
  readonly tuning?: Partial<ReplicaTuning>
}

export const HEARTBEAT_MS = 100
export const ELECTION_MS = 1000
/** A sync that takes longer is told about: heartbeats go on, but every write waits for it. */
export const SLOW_SYNC_MS = 500

/** A node for the edge, and for the other members. */
export type OpenedNode = CoordNode & { readonly peers: PeerInbox }
