/** A shard in a group, what was read of it, and how it came out. Data only. */
import type { Counters, ShardRow } from '../../catalog/catalog.ts'
import type { RowFormat } from '../../connector/connector.ts'
import type { SourceColumn } from '../../lib/column.ts'
import type { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import type { ReadStart } from '../acquire.ts'
import type { ShardJob } from '../deps.ts'
import type { StateChange } from '../spool.ts'

export type Member = {
  readonly job: ShardJob
  /** As it was acquired. */
  readonly row: ShardRow
  readonly state: { readonly [key: string]: Json }
  readonly start: ReadStart
}

/** A shard that was read to its end. */
export type Part = {
  readonly member: Member
  readonly chunks: readonly Uint8Array[]
  readonly rows: number
  readonly bytes: number
  /** Undefined: there were no rows. */
  readonly format: RowFormat | undefined
  readonly columns: readonly SourceColumn[] | undefined
  /** Where the shard stands when these rows are committed. */
  readonly cursor: Json
  readonly state: StateChange
  /** Requests and the like. */
  readonly counted: Partial<Counters>
  readonly readMs: number
}

/** Why a shard is left to the single runner. Nothing of it was written, but for `unsure`. */
export type LeftOverReason =
  /** More bytes than a member may have. */
  | 'large'
  /** Not read in time. */
  | 'slow'
  /** Rejected rows, Parquet parts, other columns than the group's, no cursor behind its last rows. */
  | 'odd'
  | 'failed'
  /** Somebody acquired it later. */
  | 'fenced'
  | 'stopped'
  /** The catalog did not answer the commit: look whether it is done before reading it again. */
  | 'unsure'

export type LeftOver = { readonly why: LeftOverReason; readonly error?: HakiriError | undefined }

export type GroupResult = {
  readonly shard: string
  /** The epoch that it was held with, for settling it; undefined: it was not acquired. */
  readonly epoch: number | undefined
} & (
  | {
      readonly kind: 'done'
      readonly rows: number
      /** A commit says so; else there was nothing to commit, and whoever keeps the run's books has to. */
      readonly isRecorded: boolean
    }
  | {
      readonly kind: 'leftover'
      readonly why: LeftOverReason
      readonly error: HakiriError | undefined
    }
)
