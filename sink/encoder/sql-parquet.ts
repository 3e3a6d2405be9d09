/**
 * Parquet files as input: what their columns are in our types, and how they are read. Types that a
 * table cannot hold become text; nested values become JSON text.
 */
import type { ColumnType, Semantic, SourceColumn } from '../../lib/column.ts'
import { fitText } from './sql-fit.ts'
import type { Fit } from './sql-fit.ts'
import { engineType, ident, literal } from './sql-text.ts'
import type { Source, SourceField } from './sql-read.ts'

/** One line of DESCRIBE. */
export type ParquetColumn = { readonly name: string; readonly engine: string }

/** Names the columns of the file and their engine types, in order. */
export function describeParquet(path: string): string {
  return `DESCRIBE SELECT * FROM read_parquet(${literal(path)})`
}

/** A Parquet column as a source column. */
export function parquetSourceColumn({ name, engine }: ParquetColumn): SourceColumn {
  const { type, semantic } = naturalType(engine)
  return { name, type, sourceType: engine.toLowerCase(), ...(semantic ? { semantic } : {}) }
}

/** Rows [from, from + rows) of a file. */
export function parquetSource(
  path: string,
  from: number,
  rows: number,
  columns: readonly ParquetColumn[],
): Source {
  const reader = `read_parquet(${literal(path)}, file_row_number=true)`
  const names = columns.map(({ name }, index) => `${ident(name)} AS "c${index}"`)
  const range = `file_row_number >= ${from} AND file_row_number < ${from + rows}`
  const indexes = new Map(columns.map(({ name }, index) => [name, index]))
  const field = (name: string): SourceField | undefined => {
    const index = indexes.get(name)
    const column = index === undefined ? undefined : columns[index]
    return column && parquetField(`"c${index}"`, column.engine)
  }
  return { from: `(SELECT ${names.join(', ')} FROM ${reader} WHERE ${range})`, field }
}

/** Rows by their number in the batch, as JSON. */
export function parquetRowTexts(
  path: string,
  from: number,
  columns: readonly ParquetColumn[],
  rows: readonly number[],
): string {
  const pairs = columns.map(({ name }) => `${literal(name)}: ${ident(name)}`).join(', ')
  const wanted = rows.map((row) => row + from).join(', ')
  return (
    `SELECT file_row_number - ${from}, CAST(to_json({${pairs}}) AS VARCHAR) ` +
    `FROM read_parquet(${literal(path)}, file_row_number=true) WHERE file_row_number IN (${wanted})`
  )
}

function parquetField(column: string, engine: string): SourceField {
  const natural = naturalType(engine).type
  const text = textOf(column, engine)
  return {
    present: `${column} IS NOT NULL`,
    text,
    fit(type) {
      if (type === 'string') return { value: text, proof: 'true' }
      if (type === natural && isNative(engine)) return native(column, engine, type)
      return fitText(text, type)
    },
  }
}

type Natural = { readonly type: ColumnType; readonly semantic?: Semantic }

const NATURAL: Readonly<Record<string, Natural>> = {
  BOOLEAN: { type: 'boolean' },
  TINYINT: { type: 'short' },
  UTINYINT: { type: 'short' },
  SMALLINT: { type: 'short' },
  USMALLINT: { type: 'integer' },
  INTEGER: { type: 'integer' },
  UINTEGER: { type: 'long' },
  BIGINT: { type: 'long' },
  UBIGINT: { type: 'decimal(20,0)' },
  HUGEINT: { type: 'decimal(38,0)' },
  UHUGEINT: { type: 'string' },
  FLOAT: { type: 'float' },
  DOUBLE: { type: 'double' },
  VARCHAR: { type: 'string' },
  BLOB: { type: 'binary' },
  DATE: { type: 'date' },
  TIMESTAMP: { type: 'timestamp', semantic: 'local-timestamp' },
  TIMESTAMP_S: { type: 'timestamp', semantic: 'local-timestamp' },
  TIMESTAMP_MS: { type: 'timestamp', semantic: 'local-timestamp' },
  TIMESTAMP_NS: { type: 'timestamp', semantic: 'local-timestamp' },
  'TIMESTAMP WITH TIME ZONE': { type: 'timestamp' },
  TIME: { type: 'string', semantic: 'time' },
  TIME_NS: { type: 'string', semantic: 'time' },
  'TIME WITH TIME ZONE': { type: 'string', semantic: 'time' },
  INTERVAL: { type: 'string', semantic: 'interval' },
  UUID: { type: 'string', semantic: 'uuid' },
  JSON: { type: 'string', semantic: 'json' },
}

function naturalType(engine: string): Natural {
  const plain = NATURAL[engine]
  if (plain) return plain
  if (engine.startsWith('DECIMAL')) return { type: engine.toLowerCase() as ColumnType }
  return isNested(engine) ? { type: 'string', semantic: 'json' } : { type: 'string' }
}

function isNested(engine: string): boolean {
  return engine.endsWith(']') || /^(STRUCT|MAP|UNION)\(/.test(engine) || engine === 'VARIANT'
}

/** Types that a cast to their natural type keeps; nanoseconds may not fit. */
function isNative(engine: string): boolean {
  return (engine in NATURAL || engine.startsWith('DECIMAL')) && engine !== 'TIMESTAMP_NS'
}

function native(column: string, engine: string, type: ColumnType): Fit {
  if (type === 'date' || engine === 'TIMESTAMP WITH TIME ZONE') {
    return { value: column, proof: `isfinite(${column})` }
  }
  if (type === 'timestamp') {
    const micros = `epoch_us(CAST(${column} AS TIMESTAMP))`
    return { value: `make_timestamptz(${micros})`, proof: `${micros} IS NOT NULL` }
  }
  const value = `TRY_CAST(${column} AS ${engineType(type)})`
  return { value, proof: `${value} IS NOT NULL` }
}

function textOf(column: string, engine: string): string {
  if (engine === 'BLOB') return `'\\x' || lower(hex(${column}))`
  return isNested(engine) ? `CAST(to_json(${column}) AS VARCHAR)` : `CAST(${column} AS VARCHAR)`
}
