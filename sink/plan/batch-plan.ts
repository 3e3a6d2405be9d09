/**
 * What the encoder is told about one batch: data only, made by plan-batch.ts, executed by
 * sink/encoder. A batch is planned from what was observed in it, so that no value is lost silently.
 */
import type { Column, ColumnType, SourceColumn } from '../../lib/column.ts'
import type { PartitionTransform } from '../../lib/policy.ts'

/**
 * A batch on local disk, whole rows. With `rows` (as counted by the source) the encoder proves that it
 * read them all; without, it counts the records of a csv file itself.
 */
export type BatchInput =
  | {
      readonly format: 'csv'
      readonly path: string
      readonly columns: readonly SourceColumn[]
      readonly rows?: number
    }
  | { readonly format: 'ndjson'; readonly path: string }
  | {
      readonly format: 'parquet'
      readonly path: string
      readonly from: number
      readonly rows: number
    }

/**
 * One input column, as found by looking at every row of the batch (ndjson, parquet) or as announced
 * (csv). Nested JSON is observed as string with semantic json; numbers as long (all integral and in
 * range), decimal(38,0) (integral beyond 64 bits) or double; mixed kinds as string.
 */
export type ObservedColumn = SourceColumn & {
  /** Null in every row: says nothing about the type; gives no new column. */
  readonly empty: boolean
  /**
   * Narrower or other types that every value of the batch also fits, as far as the inspection knows:
   * `double` for whole numbers within ±2^53, `integer` for small ones.
   */
  readonly alsoFits?: readonly ColumnType[]
  /** Set when the encoder found values that do not fit the table's column: plan for misfits. */
  readonly misfit?: true
}

/** How an output column takes its value from an input column. */
export type OutputColumn = {
  readonly column: Column
  /** Source column name; undefined writes null (the batch lacks it). */
  readonly input: string | undefined
  /**
   * value: as it is, expected to fit. Where one value would lose something in `column.type`, the
   * encoder writes nothing and names the input column, which is then planned with `misfit` set ·
   * fitting: the value when it fits `column.type`, else null ·
   * misfit: the value's text when it does not fit `fits`, else null.
   */
  readonly take: 'value' | 'fitting' | 'misfit'
  readonly fits: ColumnType
}

export type RejectRule =
  /** Rows whose value does not fit. */
  | {
      readonly kind: 'misfit'
      readonly input: string
      readonly fits: ColumnType
      readonly reason: string
    }
  /** Rows that carry a non-null value at all (a column that may not be added). */
  | { readonly kind: 'present'; readonly input: string; readonly reason: string }
  /** Rows whose key is null cannot be merged. */
  | { readonly kind: 'null-key'; readonly input: string; readonly reason: string }
  /** Rows whose text is empty: as a partition's value, a table log cannot tell it from null. */
  | { readonly kind: 'empty-text'; readonly input: string; readonly reason: string }

/**
 * A partition's value is text (null for null): identity the column's own text; year "2024" (integer),
 * month "2024-05" (string), day "2024-05-01" (date), hour "2024-05-01-13" (string), all in UTC. The
 * column of an identity partition is left out of the data files.
 */
export type PartitionOutput = {
  /** Partition column of the table, e.g. created_at_day. */
  readonly name: string
  readonly transform: PartitionTransform
  /** Name of the output column it derives from. */
  readonly column: string
}

export type BatchPlan = {
  /** In table order; without derived partition columns, with those of identity partitions. */
  readonly outputs: readonly OutputColumn[]
  readonly rejects: readonly RejectRule[]
  readonly partitions: readonly PartitionOutput[]
  /** Upsert: keep the last row per key within the batch and write `sequence` as _hakiri_seq. */
  readonly merge: { readonly key: readonly string[]; readonly sequence: bigint } | undefined
}

/** A column that orders versions of a row in an upsert table; field id after all others. */
export const SEQUENCE_COLUMN = '_hakiri_seq'
/** Never handed to a source column. */
export const SEQUENCE_FIELD_ID = 2_000_000_000
