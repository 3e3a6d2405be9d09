/** What a pipeline allows a changing source to do to its tables. */

export type SchemaAction = 'evolve' | 'freeze' | 'discard_row' | 'discard_value' | 'ask'

export type SchemaPolicy = {
  /** A source table that has no table yet. */
  readonly tables: 'evolve' | 'freeze' | 'discard_row' | 'ask'
  /** A column that the table does not have. */
  readonly columns: SchemaAction
  /** A value that does not fit its column; `variant` (and evolve) moves it to `<column>__string`. */
  readonly types: SchemaAction | 'variant'
}

export const DEFAULT_SCHEMA_POLICY: SchemaPolicy = {
  tables: 'evolve',
  columns: 'evolve',
  types: 'variant',
}

export type PartitionTransform = 'identity' | 'year' | 'month' | 'day' | 'hour'
export type PartitionField = { readonly transform: PartitionTransform; readonly column: string }
