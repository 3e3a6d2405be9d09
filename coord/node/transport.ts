/**
 * The port to the other members: what they say to each other beside Raft's own messages, and how it
 * is sent. Sending never waits and never throws: what cannot be sent is dropped and reported.
 */
import type { ImageView } from '../image/image.ts'
import type { MemberId, Message } from '../raft/types.ts'

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

export type PeerMessage =
  | { readonly kind: 'raft'; readonly message: Message }
  | { readonly kind: 'lease-question'; readonly id: number; readonly question: LeaseQuestion }
  | { readonly kind: 'lease-answer'; readonly id: number; readonly answer: LeaseAnswer }

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
