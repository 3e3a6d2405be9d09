/**
 * Postgres types as column types. Invariant: the text that Postgres prints for a value is what
 * travels, so nothing is rounded or reinterpreted on the way. A value that the column type cannot
 * hold (numeric NaN, a date of infinity or before Christ) stays text here too: the encoder's plan
 * decides about a value that does not fit, it is never replaced here.
 */
import type { ColumnType, Semantic, SourceColumn } from '../../../lib/column.ts'
import { quoteName } from './names.ts'

/** A column's type as the server's catalog tells it, domains resolved to their base type. */
export type PostgresType = {
  /** As people write it, e.g. "numeric(10,2)", "public.mood"; a domain keeps its own name. */
  readonly display: string
  /** The base type as SQL for a cast, without length or precision. */
  readonly cast: string
  /** typname of the base type when it is built in, else "". */
  readonly builtin: string
  /** Length or precision as stored; -1 for none. */
  readonly modifier: number
  readonly array: boolean
}

type Mapped = { readonly type: ColumnType; readonly semantic?: Semantic }

const MAPPED: Readonly<Record<string, Mapped>> = {
  bool: { type: 'boolean' },
  int2: { type: 'short' },
  int4: { type: 'integer' },
  int8: { type: 'long' },
  float4: { type: 'float' },
  float8: { type: 'double' },
  date: { type: 'date' },
  timestamptz: { type: 'timestamp' },
  timestamp: { type: 'timestamp', semantic: 'local-timestamp' },
  bytea: { type: 'binary' },
  uuid: { type: 'string', semantic: 'uuid' },
  json: { type: 'string', semantic: 'json' },
  jsonb: { type: 'string', semantic: 'json' },
  time: { type: 'string', semantic: 'time' },
  timetz: { type: 'string', semantic: 'time' },
  interval: { type: 'string', semantic: 'interval' },
}

/** Announces a column; every type without a better home is a string as Postgres prints it. */
export function toSourceColumn(name: string, type: PostgresType): SourceColumn {
  return { name, sourceType: type.display, ...mapType(type) }
}

/** The SELECT expression whose CSV text carries the column. */
export function selectExpression(name: string, type: PostgresType): string {
  const column = `s.${quoteName(name)}`
  return type.array ? `to_json(${column})` : column
}

function mapType(type: PostgresType): Mapped {
  if (type.array) return { type: 'string', semantic: 'json' }
  if (type.builtin === 'numeric') return { type: numericType(type.modifier) }
  return MAPPED[type.builtin] ?? { type: 'string' }
}

/**
 * numeric(p,s) as decimal when it has at most 38 digits. Scales below zero and above the precision
 * (Postgres 15) are folded into a decimal that holds the same values.
 */
function numericType(modifier: number): ColumnType {
  if (modifier < 4) return 'string'
  const packed = modifier - 4
  const precision = (packed >> 16) & 0xffff
  const scale = ((packed & 0x7ff) ^ 1024) - 1024
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale)
  return digits <= 38 ? `decimal(${digits},${Math.max(scale, 0)})` : 'string'
}

const INTEGERS = new Set(['int2', 'int4', 'int8'])
const TIMES = new Set(['date', 'timestamp', 'timestamptz'])

/** Equal values print as equal text, so that the end of a group of equal values can be seen in the text. */
const TEXT_IS_IDENTITY = new Set([
  ...INTEGERS,
  ...TIMES,
  'bool',
  'oid',
  'uuid',
  'time',
  'text',
  'varchar',
  'bytea',
])

export function isInteger(type: PostgresType): boolean {
  return !type.array && INTEGERS.has(type.builtin)
}

export function isTime(type: PostgresType): boolean {
  return !type.array && TIMES.has(type.builtin)
}

export function isNumeric(type: PostgresType): boolean {
  return !type.array && type.builtin === 'numeric'
}

export function isFloat(type: PostgresType): boolean {
  return !type.array && (type.builtin === 'float4' || type.builtin === 'float8')
}

/** See TEXT_IS_IDENTITY; a numeric qualifies when its scale is fixed. */
export function printsCanonically(type: PostgresType): boolean {
  if (type.array) return false
  return TEXT_IS_IDENTITY.has(type.builtin) || (isNumeric(type) && type.modifier >= 4)
}
