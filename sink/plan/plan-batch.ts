/**
 * Plans one batch: the merged schema, the way of each value into the files, what is rejected, how rows
 * are partitioned and merged. Pure: the worker evolves the schema first and only then encodes.
 */
import type { TableMode } from '../../catalog/catalog.ts'
import { assert } from '../../lib/assert.ts'
import type { Column } from '../../lib/column.ts'
import type { Json } from '../../lib/json.ts'
import type { PartitionField, SchemaPolicy } from '../../lib/policy.ts'
import type { BatchPlan, ObservedColumn, RejectRule } from './batch-plan.ts'
import { failed, type Failed } from './failure.ts'
import { mergeSchema, rejectAll, type Merged } from './merge-schema.ts'
import { addPartitions, type Partitioned } from './partition.ts'
import type { Decision } from './schema-verdict.ts'

export type BatchRequest = {
  readonly table: string
  readonly mode: TableMode
  /** Columns of the table's newest schema revision. */
  readonly columns: readonly Column[]
  readonly observed: readonly ObservedColumn[]
  readonly policy: SchemaPolicy
  /** Source column → type, from the manifest. */
  readonly types?: { readonly [source: string]: string }
  /** Source columns of the key; used in upsert mode only. */
  readonly key: readonly string[]
  readonly partitionBy: readonly PartitionField[]
  /** Decisions of this table, pending ones too. */
  readonly decisions?: readonly Decision[]
  /** Upsert: grows with each commit that may hold a newer version of a row. */
  readonly sequence: bigint
}

export type Planned = {
  readonly kind: 'planned'
  readonly plan: BatchPlan
  /** What the table's columns must be before the batch is committed. */
  readonly columns: readonly Column[]
  /** One sentence a change; empty when the schema stands. */
  readonly changes: readonly string[]
  /** Questions to queue. */
  readonly decisions: readonly Json[]
  /** Source columns of which values are dropped because the policy says so. */
  readonly discarded: readonly string[]
  /** Key and partition columns by their names in the table, for `ensureTable`. */
  readonly key: readonly string[]
  readonly partitionBy: readonly string[]
}

/** Plans a batch against the table's columns; fails, as data, where the policy or the key forbids it. */
export function planBatch(request: BatchRequest): Planned | Failed {
  const isUpsert = request.mode === 'upsert'
  const key = isUpsert ? request.key : []
  if (isUpsert && key.length === 0) return keyless(request.table)
  const observed = withHinted(request, key)
  const merged = mergeSchema(request.columns, observed, request.policy, {
    table: request.table,
    key,
    ...(request.types ? { types: request.types } : {}),
    ...(request.decisions ? { decisions: request.decisions } : {}),
  })
  if (merged.kind === 'failed') return merged
  if (merged.outputs.length === 0) return withoutColumns(request, merged)
  const partitioned = addPartitions(request.table, merged.columns, request.partitionBy)
  if (partitioned.kind === 'failed') return partitioned
  return withKey({ ...request, key, observed }, merged, partitioned)
}

/** Nothing can be written: each row is rejected, for the reason given or because it holds no value. */
function withoutColumns(request: BatchRequest, merged: Merged): Planned | Failed {
  const rejects =
    merged.rejects.length > 0
      ? merged.rejects
      : rejectAll(request.observed, 'the row has no value in any column')
  if (rejects.length === 0) return noColumns(request.table)
  return planned(request.columns, merged, {
    outputs: [],
    rejects,
    partitions: [],
    merge: undefined,
  })
}

function withKey(
  request: BatchRequest,
  merged: Merged,
  partitioned: Partitioned,
): Planned | Failed {
  const outputs = merged.outputs
  const keyOutputs = request.key.map((source) =>
    outputs.find(({ column }) => column.role === undefined && column.source === source),
  )
  const missing = request.key.filter((_, index) => keyOutputs[index] === undefined)
  if (missing.length > 0) return missingKey(request.table, missing)
  const key = keyOutputs.flatMap((output) => (output ? [output.column.name] : []))
  return planned(
    partitioned.columns,
    merged,
    {
      outputs,
      rejects: [
        ...merged.rejects,
        ...nullKeyRules(request, keyOutputs),
        ...emptyTextRules(merged, partitioned),
      ],
      partitions: partitioned.partitions,
      merge: key.length > 0 ? { key, sequence: request.sequence } : undefined,
    },
    partitioned.changes,
  )
}

function nullKeyRules(
  request: BatchRequest,
  keyOutputs: readonly (BatchPlan['outputs'][number] | undefined)[],
): readonly RejectRule[] {
  return keyOutputs.flatMap((output, index): readonly RejectRule[] => {
    const source = request.key[index]
    assert(output && source !== undefined, 'key columns were looked up')
    const reason = `key ${source} is null`
    const isThere = request.observed.some((column) => column.name === source)
    return isThere
      ? [{ kind: 'null-key', input: source, reason }]
      : rejectAll(request.observed, `key ${source} is missing`)
  })
}

/** The log holds partition values as text and reads the empty one as null. */
function emptyTextRules(merged: Merged, partitioned: Partitioned): readonly RejectRule[] {
  const names = new Set(partitioned.partitions.map((partition) => partition.name))
  return merged.outputs.flatMap(({ column, input }): readonly RejectRule[] => {
    if (column.type !== 'string' || input === undefined || !names.has(column.name)) return []
    return [{ kind: 'empty-text', input, reason: `partition column ${column.name} is empty text` }]
  })
}

function planned(
  columns: readonly Column[],
  merged: Merged,
  plan: BatchPlan,
  changes: readonly string[] = [],
): Planned {
  return {
    kind: 'planned',
    plan,
    columns,
    changes: [...merged.changes, ...changes],
    decisions: merged.decisions,
    discarded: merged.discarded,
    key: plan.merge?.key ?? [],
    partitionBy: plan.partitions.map((partition) => partition.name),
  }
}

/**
 * A key or partition column with a type hint exists even while it holds only nulls, so that a first
 * batch without a value in it can be planned.
 */
function withHinted(request: BatchRequest, key: readonly string[]): readonly ObservedColumn[] {
  const needed = new Set([...key, ...request.partitionBy.map((field) => field.column)])
  return request.observed.map((column) =>
    column.empty && needed.has(column.name) && request.types?.[column.name] !== undefined
      ? { ...column, empty: false }
      : column,
  )
}

function keyless(table: string): Failed {
  return failed(
    'CONFIG_INVALID',
    `${table} is written in mode upsert, but has no key`,
    'Name the key: write = { mode = "upsert", key = ["id"] }.',
  )
}

function missingKey(table: string, missing: readonly string[]): Failed {
  return failed(
    'SCHEMA_INVALID',
    `${table}: the key names ${missing.join(', ')}, which the source does not have or has only nulls in`,
    'Correct write.key.',
  )
}

function noColumns(table: string): Failed {
  return failed(
    'SCHEMA_INVALID',
    `${table}: the source has rows without any column`,
    'Check that the source points at records, e.g. the `records` pointer of an HTTP stream.',
  )
}
