/**
 * The port of the durable image of the state: records in key order, changed in atomic batches that
 * carry the applied index with them, so that index and data never part (etcd 13766, 14571).
 */
import type { ImageChange } from '../kv/types.ts'
import type { SnapshotMark } from '../raft/types.ts'

export type ImageRecord = { readonly key: Uint8Array; readonly value: Uint8Array }

export type ImageBatch = {
  /** Up to where the log is inside, once this batch is. */
  readonly mark: SnapshotMark
  readonly changes: readonly ImageChange[]
}

/** A consistent view that later batches do not disturb; to be disposed of. */
export type ImageView = AsyncDisposable & {
  readonly mark: SnapshotMark
  readonly sizeBytes: number
  records(signal: AbortSignal): AsyncIterable<readonly ImageRecord[]>
}

export type Image = {
  /** Undefined for a fresh image. */
  readonly mark: SnapshotMark | undefined
  /** All records, in key order, in portions. */
  load(signal: AbortSignal): AsyncIterable<readonly ImageRecord[]>
  write(batch: ImageBatch): Promise<void>
  /** Makes all that was written durable; what the log may be released to. */
  sync(): Promise<SnapshotMark | undefined>
  view(): Promise<ImageView>
  /** Replaces the whole image at once, or leaves it as it was. */
  install(mark: SnapshotMark, records: AsyncIterable<readonly ImageRecord[]>): Promise<void>
  close(): Promise<void>
}
