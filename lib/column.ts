/** Column types, shared by connectors, schemas and encoders: the Delta Lake primitive type names. */

export type ColumnType =
  | 'boolean'
  | 'short'
  | 'integer'
  | 'long'
  | 'float'
  | 'double'
  | 'string'
  | 'binary'
  | 'date'
  | 'timestamp'
  | `decimal(${number},${number})`

/** What a string column holds, where the source knew more than "text". */
export type Semantic = 'json' | 'uuid' | 'time' | 'interval' | 'text' | 'local-timestamp'

/** A column as a source announces it. */
export type SourceColumn = {
  /** The source's own name, any characters. */
  readonly name: string
  readonly type: ColumnType
  /** The source's own type, for people: "numeric(10,2)". */
  readonly sourceType: string
  readonly semantic?: Semantic
}

/** A column of a table. Ids are never reused within a table. */
export type Column = {
  /** Stable Parquet field id, from 1. */
  readonly id: number
  /** Name in the table: lower snake case, [a-z0-9_], unique. */
  readonly name: string
  readonly type: ColumnType
  /** Name in the source. */
  readonly source: string
  readonly sourceType: string
  readonly semantic?: Semantic
  /**
   * A column that Hakiri adds beside the one called `source`: `variant` holds, as text, values that do
   * not fit that column; `partition` is derived from it. Absent for the source's own columns.
   */
  readonly role?: 'variant' | 'partition'
}

export type DecimalParts = { readonly precision: number; readonly scale: number }

export function decimalParts(type: ColumnType): DecimalParts | undefined {
  const match = /^decimal\((\d+),(\d+)\)$/.exec(type)
  return match ? { precision: Number(match[1]), scale: Number(match[2]) } : undefined
}
