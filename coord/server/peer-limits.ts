/** What the transport between members is made with, and what it holds and waits for at most. */
import type { Clock, Logger, Random, Scheduler } from '../../lib/ports.ts'
import type { TlsSource } from './tls.ts'

export type PeerParts = {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly logger: Logger
  /** This member's own certificate and whom it trusts, for https addresses. */
  readonly tls?: TlsSource
}

export type PeerLimits = {
  /** Bytes given to one connection and not taken by the network yet; what comes on top is dropped. */
  readonly unsentBytesMax: number
  /** Bytes of messages in one frame, unless a single message is larger. */
  readonly frameBytesMax: number
  /** A frame that is larger is taken for damage. */
  readonly frameTakenBytesMax: number
  /** What a member may answer to a greeting or a frame. */
  readonly answerBytesMax: number
  /**
   * How long the bare news that something is committed may wait for an append to go with. With one client
   * after the other it mostly does, which saves each follower a message and the leader two.
   */
  readonly patienceMs: number
  /** A member that asked for writes or reads within this time gets such news at once. */
  readonly askedMs: number
  /** How long an attempt to connect may take, greeting included. */
  readonly connectMs: number
  /** Between two signs of life that a quiet connection is asked for, and how long each may take. */
  readonly keepaliveMs: number
  /** The longest wait between two attempts to connect. */
  readonly reconnectMsMax: number
  /** Data in one part of a snapshot. */
  readonly chunkBytes: number
  /** A key or value of a snapshot that is larger is taken for damage. */
  readonly recordBytesMax: number
  /** A snapshot ends when neither side takes anything for this long. */
  readonly snapshotStallMs: number
}

const KiB = 1024
const MiB = 1024 * KiB

export const DEFAULT_PEER_LIMITS: PeerLimits = {
  unsentBytesMax: 32 * MiB,
  frameBytesMax: MiB,
  frameTakenBytesMax: 8 * MiB,
  answerBytesMax: 64 * KiB,
  patienceMs: 3,
  askedMs: 1_000,
  connectMs: 2_000,
  keepaliveMs: 1_000,
  reconnectMsMax: 1_000,
  chunkBytes: 48 * KiB,
  recordBytesMax: 16 * MiB,
  snapshotStallMs: 30_000,
}
