/**
 * The port to the other members: what they say to each other beside Raft's own messages, and how it
 * is sent. Sending never waits and never throws: what cannot be sent is dropped and reported.
 */
import type { ImageRecord, ImageView } from '../image/image.ts'
import type { MemberId, Message } from '../raft/types.ts'
import type { NodeErrorCode } from './node.ts'
import type { ProtocolRange } from './protocol.ts'

/** Questions that only a leader can answer, passed on by a follower; `id` pairs answer with question. */
export type LeaseQuestion =
  | { readonly kind: 'renew'; readonly lease: bigint }
  | { readonly kind: 'remaining'; readonly lease: bigint }
/** `ttlMs` is -1 for a lease that does not exist; the revision is the leader's, read before renewing. */
export type LeaseAnswer = {
  readonly outcome: 'ok' | 'not-leader'
  readonly ttlMs: number
  readonly revision: number
}

/** A change of the membership, passed on by a follower; the leader checks it. */
export type MemberQuestion =
  | {
      readonly kind: 'add'
      readonly peerUrls: readonly string[]
      readonly isLearner: boolean
      /** The voter whose place the learner takes once it has caught up; NOBODY's mostly. */
      readonly replaces: MemberId
    }
  | { readonly kind: 'remove'; readonly member: MemberId }
  | { readonly kind: 'update'; readonly member: MemberId; readonly peerUrls: readonly string[] }
  | { readonly kind: 'promote'; readonly member: MemberId }
export type MemberAnswer = {
  readonly outcome: 'ok' | NodeErrorCode
  /** Whom it was about; the id that a new member got. */
  readonly member: MemberId
  /** Once this is applied, the change is visible. */
  readonly index: number
}

export type PeerMessage =
  | { readonly kind: 'raft'; readonly message: Message }
  | { readonly kind: 'lease-question'; readonly id: number; readonly question: LeaseQuestion }
  | { readonly kind: 'lease-answer'; readonly id: number; readonly answer: LeaseAnswer }
  | { readonly kind: 'member-question'; readonly id: number; readonly question: MemberQuestion }
  | { readonly kind: 'member-answer'; readonly id: number; readonly answer: MemberAnswer }
  /** Before a cluster stands: "with this disk, whose life is `life`, may I form it with you?" */
  | { readonly kind: 'form-question'; readonly life: bigint }
  /** `life` is that of the one who answers. */
  | {
      readonly kind: 'form-answer'
      readonly life: bigint
      /** The life that was asked about; 0 from members that do not say. */
      readonly asked: bigint
      readonly isFormed: boolean
      readonly isAgreed: boolean
    }

export type MemberAddress = { readonly member: MemberId; readonly peerUrls: readonly string[] }

export type Transport = {
  /** Whom messages can be sent to from now on; connections to all others are closed. */
  setMembers(members: readonly MemberAddress[]): void
  /** Heartbeats, votes and questions travel apart from appends, so that these never hold them up. */
  send(to: MemberId, message: PeerMessage): void
  /** Streams an image; one at a time for each member. Resolves to whether it arrived whole. */
  sendSnapshot(
    to: MemberId,
    message: Message,
    view: ImageView,
    signal: AbortSignal,
  ): Promise<boolean>
  /** Members that have answered within the last few seconds. */
  connected(): ReadonlySet<MemberId>
  close(): Promise<void>
}

/** What the other members reach a node through. */
export type PeerInbox = {
  receive(from: MemberId, message: PeerMessage): void
  /**
   * Takes a streamed image; `message.mark` is the image's. Resolves to whether it was installed, and
   * rejects with what `records` rejects with.
   */
  receiveSnapshot(
    from: MemberId,
    message: Message & { readonly kind: 'snapshot' },
    records: AsyncIterable<readonly ImageRecord[]>,
  ): Promise<boolean>
  /** A member begins a connection, and says what it speaks. */
  greeted(from: MemberId, protocols: ProtocolRange): void
  /** Members that were removed are to be told so, and not listened to. */
  isRemoved(member: MemberId): boolean
  /** Another member says that this one was removed. */
  removedBy(member: MemberId): void
  /** A connection to a member broke, and nobody listens any more where it was. */
  gone(member: MemberId): void
}

export type PeerIdentity = {
  readonly clusterId: bigint
  readonly memberId: MemberId
  /** What is spoken now; all that this program knows if it does not say. */
  readonly protocols?: () => ProtocolRange
}
export type OpenTransport = (inbox: PeerInbox, self: PeerIdentity) => Transport
