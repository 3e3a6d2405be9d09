/** SQL views over the exact live files of tables. Pure text. */
import type { Column, ColumnType } from '../../lib/column.ts'
import { decimalParts } from '../../lib/column.ts'
import { SEQUENCE_COLUMN, SEQUENCE_FIELD_ID } from '../plan/batch-plan.ts'

export type ViewFile = {
  readonly localPath: string
  readonly partition: { readonly [column: string]: string | null }
}

export type TableView = {
  /** "shop.orders" */
  readonly name: string
  readonly columns: readonly Column[]
  readonly partitionBy: readonly string[]
  /** Upsert tables show the newest row per key. */
  readonly mergeKey: readonly string[] | undefined
  readonly files: readonly ViewFile[]
}

const TYPES: Readonly<Record<Exclude<ColumnType, `decimal(${string}`>, string>> = {
  boolean: 'BOOLEAN',
  short: 'SMALLINT',
  integer: 'INTEGER',
  long: 'BIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  string: 'VARCHAR',
  binary: 'BLOB',
  date: 'DATE',
  timestamp: 'TIMESTAMPTZ',
}

/**
 * Statements that make `pipeline.table` views, and short names where one table alone has them.
 * Columns are found by field id, so a file from before a column existed gives nulls.
 */
export function viewStatements(views: readonly TableView[]): readonly string[] {
  const statements: string[] = []
  const schemas = new Set(views.map((view) => schemaOf(view.name)))
  for (const schema of schemas) statements.push(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`)
  for (const view of views) {
    statements.push(
      `CREATE VIEW ${quoteName(schemaOf(view.name))}.${quoteName(shortName(view.name))} AS ${selectRows(view)}`,
    )
  }
  for (const view of views) {
    const short = shortName(view.name)
    const isUnique = views.filter((other) => shortName(other.name) === short).length === 1
    if (isUnique && !view.name.startsWith('_')) {
      statements.push(
        `CREATE VIEW main.${quoteName(short)} AS FROM ${quoteName(schemaOf(view.name))}.${quoteName(short)}`,
      )
    }
  }
  return statements
}

export function schemaOf(table: string): string {
  return table.slice(0, table.lastIndexOf('.'))
}

export function shortName(table: string): string {
  return table.slice(table.lastIndexOf('.') + 1)
}

function selectRows(view: TableView): string {
  if (view.files.length === 0) return emptyRows(view)
  const rows = `SELECT ${view.columns.map((column) => columnSql(view, column)).join(', ')}${hiddenSql(view)} FROM ${fromSql(view)}`
  if (!view.mergeKey) return rows
  const key = view.mergeKey.map(quoteName).join(', ')
  return (
    `SELECT * EXCLUDE (${quoteName(SEQUENCE_COLUMN)}) FROM (${rows}) ` +
    `QUALIFY row_number() OVER (PARTITION BY ${key} ORDER BY ${quoteName(SEQUENCE_COLUMN)} DESC) = 1`
  )
}

function emptyRows(view: TableView): string {
  const columns = view.columns.map(
    (column) => `NULL::${typeSql(column.type)} AS ${quoteName(column.name)}`,
  )
  return `SELECT ${columns.join(', ') || 'NULL AS nothing'} WHERE false`
}

function hiddenSql(view: TableView): string {
  return view.mergeKey ? `, ${quoteName(SEQUENCE_COLUMN)}` : ''
}

function columnSql(view: TableView, column: Column): string {
  if (!view.partitionBy.includes(column.name)) return quoteName(column.name)
  return `p.${quoteName(column.name)}::${typeSql(column.type)} AS ${quoteName(column.name)}`
}

function fromSql(view: TableView): string {
  const stored = view.columns.filter((column) => !view.partitionBy.includes(column.name))
  const fields = stored.map((column) => fieldSql(column.id, column.name, typeSql(column.type)))
  if (view.mergeKey) fields.push(fieldSql(SEQUENCE_FIELD_ID, SEQUENCE_COLUMN, 'BIGINT'))
  const files = view.files.map((file) => quoteText(file.localPath)).join(', ')
  const read = `read_parquet([${files}], schema=MAP{${fields.join(', ')}}, hive_partitioning=false, filename='_hakiri_file')`
  if (view.partitionBy.length === 0) return read
  const names = view.partitionBy.map(quoteName).join(', ')
  const values = view.files.map(
    (file) =>
      `(${[quoteText(file.localPath), ...view.partitionBy.map((name) => partitionSql(file.partition[name]))].join(', ')})`,
  )
  return `${read} f JOIN (VALUES ${values.join(', ')}) p(_hakiri_path, ${names}) ON f._hakiri_file = p._hakiri_path`
}

function fieldSql(id: number, name: string, type: string): string {
  return `${id}: {name: ${quoteText(name)}, type: ${quoteText(type)}, default_value: NULL}`
}

function partitionSql(value: string | null | undefined): string {
  return value === null || value === undefined ? 'NULL' : quoteText(value)
}

function typeSql(type: ColumnType): string {
  const decimal = decimalParts(type)
  if (decimal) return `DECIMAL(${decimal.precision},${decimal.scale})`
  return TYPES[type as keyof typeof TYPES]
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
