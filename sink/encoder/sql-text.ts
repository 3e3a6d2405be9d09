/** Pieces of SQL text. Whatever comes from outside passes through `ident` or `literal`. */
import type { ColumnType } from '../../lib/column.ts'

/** A quoted identifier. */
export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A quoted string. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** The engine's type for a column type; `timestamp` is an instant in UTC microseconds. */
export function engineType(type: ColumnType): string {
  switch (type) {
    case 'boolean':
      return 'BOOLEAN'
    case 'short':
      return 'SMALLINT'
    case 'integer':
      return 'INTEGER'
    case 'long':
      return 'BIGINT'
    case 'float':
      return 'FLOAT'
    case 'double':
      return 'DOUBLE'
    case 'string':
      return 'VARCHAR'
    case 'binary':
      return 'BLOB'
    case 'date':
      return 'DATE'
    case 'timestamp':
      return 'TIMESTAMPTZ'
    default:
      return type.toUpperCase()
  }
}

/** What every Parquet file of ours has in common; `fieldIds` maps output names to ids. */
export function copyStatement(
  select: string,
  path: string,
  fieldIds: ReadonlyMap<string, number> | undefined,
  rowGroupRows: number,
): string {
  const ids = fieldIds
    ? `, FIELD_IDS {${[...fieldIds].map(([name, id]) => `${literal(name)}: ${id}`).join(', ')}}`
    : ''
  return (
    `COPY (${select}) TO ${literal(path)} (FORMAT parquet, COMPRESSION zstd, ` +
    `PARQUET_VERSION 'V1', ROW_GROUP_SIZE ${rowGroupRows}${ids})`
  )
}

/** Larger than any batch: keeps a file to one row group. */
export const ONE_ROW_GROUP = 1_000_000_000
