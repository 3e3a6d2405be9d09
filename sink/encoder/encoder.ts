/**
 * The encoder port: batches on local disk become Parquet files on local disk. The work runs in a child
 * process that owns the query engine; ending that child never ends Hakiri. Same input and plan give
 * the same bytes: one thread, one row group a file, no time stamps.
 */
import type { DataFile } from '../../catalog/catalog.ts'
import type { BatchInput, BatchPlan, ObservedColumn } from '../plan/batch-plan.ts'
import type { Column } from '../../lib/column.ts'

/** A finished, fsynced local Parquet file. */
export type EncodedFile = Pick<DataFile, 'bytes' | 'rows' | 'stats' | 'partition'> & {
  readonly localPath: string
}

/** A row that did not make it into the table. */
export type RejectedRow = { readonly reason: string; readonly raw: string }

export type EncodeResult = {
  readonly files: readonly EncodedFile[]
  /** Rows written to `files` (after merging by key, so perhaps fewer than read). */
  readonly rows: number
  readonly rejected: readonly RejectedRow[]
}

export type EncodeOutcome =
  | ({ readonly kind: 'encoded' } & EncodeResult)
  /** Input columns taken by value that hold a value which does not fit; nothing was written. */
  | { readonly kind: 'misfit'; readonly columns: readonly string[] }

export type RewriteJob = {
  /** Local Parquet files of one table and one partition, in log order. */
  readonly inputs: readonly string[]
  readonly columns: readonly Column[]
  /** Upsert: keep the newest row per key. */
  readonly mergeKey: readonly string[] | undefined
  readonly partition: DataFile['partition']
  readonly outFolder: string
}

export type Encoder = AsyncDisposable & {
  /** Looks at every row of the batch. */
  inspect(input: BatchInput, signal: AbortSignal): Promise<readonly ObservedColumn[]>
  encode(job: EncodeJob, signal: AbortSignal): Promise<EncodeOutcome>
  /** Compaction: many files into one. */
  rewrite(job: RewriteJob, signal: AbortSignal): Promise<EncodedFile>
  /** Rejected rows as a file of the quarantine table. */
  encodeRejects(rows: readonly RejectRecord[], outFolder: string): Promise<EncodedFile>
  /** A Delta V1 checkpoint file from NDJSON actions (see sink/plan/checkpoint.ts). */
  encodeCheckpoint(actionsPath: string, outPath: string): Promise<void>
  /** Peak resident memory of all children so far, bytes. */
  peakMemory(): Promise<number>
}

export type EncodeJob = {
  readonly input: BatchInput
  readonly plan: BatchPlan
  /** An existing folder that only this job writes to. */
  readonly outFolder: string
}

export type RejectRecord = RejectedRow & {
  readonly pipeline: string
  readonly shard: string
  readonly runId: number
  readonly rejectedAt: number
}
