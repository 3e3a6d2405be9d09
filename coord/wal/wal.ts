/**
 * The port of the durable log. What `append` has resolved for survives any crash (R6); what was not
 * resolved for may or may not be there, but never a later part without an earlier one.
 */
import type { Entry, HardState, MemberId, SnapshotMark } from '../raft/types.ts'

/** Whose log this is. A log is never opened for another member or cluster. */
export type WalIdentity = { readonly clusterId: bigint; readonly memberId: MemberId }

/** What one portion of Raft's work leaves on the disk, in this order. */
export type WalBatch = {
  /** The log begins anew after this place: a snapshot was installed. */
  readonly mark?: SnapshotMark
  readonly hardState?: HardState
  /** The first replaces whatever the log held at its index and after. */
  readonly entries: readonly Entry[]
}

export type WalRecovery = {
  readonly identity: WalIdentity
  readonly hardState: HardState
  /** The newest mark; the entries follow it without a gap. */
  readonly mark: SnapshotMark
  readonly entries: readonly Entry[]
  /** Bytes of a torn last record that were cut; 0 for a clean end. */
  readonly cutBytes: number
}

export type Wal = {
  /** Resolves once the batch, and all before it, are durable. Batches that wait share one sync. */
  append(batch: WalBatch): Promise<void>
  /** Everything up to `mark.index` is durable elsewhere: whole files before it may go. */
  release(mark: SnapshotMark): Promise<void>
  /** Bytes on disk. */
  sizeBytes(): number
  close(): Promise<void>
}

/** What the log tells its owner: for metrics and the slow-disk line. */
export type WalObserver = {
  readonly onSync?: (durationMs: number, batches: number, bytes: number) => void
}
