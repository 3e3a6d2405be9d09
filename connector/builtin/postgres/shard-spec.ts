/** What a shard keeps for ever about the part of a table that it is. */
import { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import { idPart } from './names.ts'
import { relationLabel, type RelationColumn } from './relation.ts'
import { columnOf, valueOf } from './sql.ts'
import type { TableName } from './errors.ts'

/** Part `index` of `parts`: lower <= key < upper; null is open. Null keys belong to part 0. */
export type KeyRange = {
  readonly key: string
  /** Ranges that were asked for; fewer come of it when the key has few values. */
  readonly asked: number
  readonly index: number
  readonly parts: number
  readonly lower: string | null
  readonly upper: string | null
}

export type ShardSpec = TableName & { readonly range: KeyRange | undefined }

export function encodeSpec(spec: ShardSpec): Json {
  const table = { schema: spec.schema, name: spec.name }
  return spec.range ? { ...table, range: spec.range } : table
}

/** Reads a spec that `encodeSpec` made; throws STATE_INVALID. */
export function decodeSpec(json: Json): ShardSpec {
  const fields = isObject(json) ? json : {}
  const { schema, name, range } = fields
  if (typeof schema !== 'string' || typeof name !== 'string') throw invalid(json)
  return { schema, name, range: range === undefined ? undefined : decodeRange(range) }
}

/** "public.orders", or "public.orders/id/3-of-8" (counted from 1). */
export function shardId(spec: ShardSpec): string {
  const table = idPart(relationLabel(spec))
  if (!spec.range) return table
  const { key, index, parts } = spec.range
  return `${table}/${idPart(key)}/${index + 1}-of-${parts}`
}

/** The rows that belong to a range; all ranges of a table together cover every row exactly once. */
export function rangeCondition(range: KeyRange, column: RelationColumn): string | undefined {
  const name = columnOf(column)
  const lower = range.lower === null ? [] : [`${name} >= ${valueOf(column, range.lower)}`]
  const upper = range.upper === null ? [] : [`${name} < ${valueOf(column, range.upper)}`]
  const condition = [...lower, ...upper].join(' AND ')
  if (condition === '') return undefined
  return range.index === 0 && !column.notNull ? `${condition} OR ${name} IS NULL` : condition
}

function decodeRange(json: Json): KeyRange {
  const { key, asked, index, parts, lower, upper } = isObject(json) ? json : {}
  const numbers = [asked, index, parts]
  const bounds = [lower, upper]
  if (
    typeof key !== 'string' ||
    !numbers.every((value) => typeof value === 'number') ||
    !bounds.every((value) => value === null || typeof value === 'string')
  ) {
    throw invalid(json)
  }
  return json as KeyRange
}

function isObject(json: Json): json is { readonly [key: string]: Json } {
  return json !== null && typeof json === 'object' && !Array.isArray(json)
}

function invalid(json: Json): HakiriError {
  return new HakiriError(
    'STATE_INVALID',
    `this is not a shard of a postgres source: ${JSON.stringify(json)}`,
    { suggestion: 'Run the pipeline with --full-refresh.' },
  )
}
