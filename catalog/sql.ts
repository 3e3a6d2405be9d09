/**
 * The seam between the catalog's logic, written once, and the engine that runs its SQL.
 *
 * SQL is written in the common part of both dialects, with `?` for values. `write` is one transaction:
 * all of it or nothing. Its work may be run again from the start after a lock clash, so it must touch
 * nothing but the database.
 */
import { assert } from '../lib/assert.ts'
import type { Json } from '../lib/json.ts'
import type { WakeTopic } from './cluster.ts'
import type { Clock, Random } from '../lib/ports.ts'

export type Value = string | number | boolean | null
export type Row = { readonly [column: string]: Value }

/** How firmly a row is held; the names are those of Postgres. */
export type RowLock = 'key share' | 'no key update' | 'update'

export type Sql = {
  rows(text: string, ...values: readonly Value[]): Promise<readonly Row[]>
  /** Number of rows changed. */
  run(text: string, ...values: readonly Value[]): Promise<number>
  /** A locking clause for a select; empty where a writer is alone anyway. */
  lock(strength: RowLock, of?: string): string
  /** From here on, ids that the engine gives to rows of this table are larger than `id`. */
  continueIds(table: string, id: number): Promise<void>
  /** Ids for so many new rows of the table, in ascending order; nobody else gets them. */
  newIds(table: string, count: number): Promise<readonly number[]>
  /** A from-item with one row for each object of the JSON array that is its one value, see `records`. */
  each(alias: string, columns: RecordColumns): string
  /** Holds a name until the transaction ends; others who want it wait. */
  exclusive(name: string): Promise<void>
  /** Microseconds since the epoch by the clock that all who share the catalog share. */
  nowMicros(): Promise<number>
  /** Once the transaction is committed, those who listen hear of it. */
  wake(topic: WakeTopic): void
}

export type RecordColumns = { readonly [column: string]: 'text' | 'json' | 'integer' | 'boolean' }

export type Engine = {
  readonly label: string
  /** A consistent view; nothing may be written. */
  read<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  write<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  listen(listener: (topic: WakeTopic) => void): AsyncDisposable
  close(): Promise<void>
}

export type CatalogDeps = { readonly clock: Clock; readonly random: Random }

/** Values in one statement; SQLite takes 32 766 and Postgres 65 535. */
const VALUES_MAX = 6_000

/** Inserts rows in as few statements as the engines allow; `suffix` is an `on conflict` clause. Gives how many. */
export async function insertRows(
  sql: Sql,
  table: string,
  columns: readonly string[],
  rows: readonly (readonly Value[])[],
  suffix = '',
): Promise<number> {
  let count = 0
  const tuple = `(${columns.map(() => '?').join(', ')})`
  for (const part of chunks(rows, Math.floor(VALUES_MAX / columns.length))) {
    const tuples = part.map(() => tuple).join(', ')
    const text = `insert into ${table} (${columns.join(', ')}) values ${tuples} ${suffix}`
    count += await sql.run(text, ...part.flat())
  }
  return count
}

/** Runs a statement that ends in `in (…)` over a list of any length, a part at a time. */
export async function rowsIn(
  sql: Sql,
  text: string,
  fixed: readonly Value[],
  list: readonly string[],
): Promise<readonly Row[]> {
  const found: Row[] = []
  for (const part of chunks(list, VALUES_MAX)) {
    const marks = part.map(() => '?').join(', ')
    found.push(...(await sql.rows(text.replace('(…)', `(${marks})`), ...fixed, ...part)))
  }
  return found
}

/** Many rows as one value: JSON columns travel as text inside it, so that they keep their bytes. */
export function records(rows: readonly Row[]): string {
  for (const row of rows) assertStorable(Object.values(row))
  return JSON.stringify(rows)
}

/** The items in parts of at most `size`. */
export function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}

/** Refuses numbers that a double cannot hold exactly, before an engine rounds them. */
export function assertStorable(values: readonly Value[]): void {
  for (const value of values) {
    assert(typeof value !== 'number' || Number.isSafeInteger(value), `not a safe integer: ${value}`)
  }
}

// ── Reading columns ───────────────────────────────────────────────────────────────────────────────

export function textOf(row: Row, column: string): string {
  const value = row[column]
  assert(typeof value === 'string', `${column} is not text`)
  return value
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column)
}

export function numberOf(row: Row, column: string): number {
  const value = row[column]
  assert(Number.isSafeInteger(value), `${column} is not a safe integer: ${value}`)
  return value as number
}

export function numberOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : numberOf(row, column)
}

/** SQLite answers with 0 and 1, Postgres with booleans. */
export function booleanOf(row: Row, column: string): boolean {
  const value = row[column]
  assert(typeof value === 'boolean' || value === 0 || value === 1, `${column} is not a boolean`)
  return Boolean(value)
}

export function jsonOf<T = Json>(row: Row, column: string): T {
  const text = textOrNull(row, column)
  return (text === null ? null : JSON.parse(text)) as T
}

/** JSON null is stored as SQL null, so that an absent cursor looks absent to people as well. */
export function jsonText(value: Json): string | null {
  return value === null ? null : JSON.stringify(value)
}

/** Text for people, without what Postgres cannot store. */
export function printable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\u{fffd}')
}
