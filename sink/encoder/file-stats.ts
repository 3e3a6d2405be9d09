/** Size, row count and statistics of a Parquet file that was just written, from its footer. */
import { stat } from 'node:fs/promises'
import { decimalParts } from '../../lib/column.ts'
import type { Column, ColumnType } from '../../lib/column.ts'
import { syncFile } from '../../lib/system/fs.ts'
import { STATS_COLUMNS_MAX, statsJson } from '../plan/stats.ts'
import type { ColumnStats } from '../plan/stats.ts'
import type { EncodedFile } from './encoder.ts'
import type { Session, Value } from './engine.ts'
import { literal } from './sql-text.ts'

/** What statistics need to know of a column. */
export type FileColumn = Pick<Column, 'name' | 'type' | 'semantic'>

/** Makes the file durable and describes it. */
export async function finishFile(
  session: Session,
  path: string,
  rows: number,
  columns: readonly FileColumn[],
  partition: EncodedFile['partition'],
): Promise<EncodedFile> {
  await syncFile(path)
  const { size } = await stat(path)
  const stats = await readStats(session, path, rows, columns.slice(0, STATS_COLUMNS_MAX))
  return { localPath: path, bytes: size, rows, stats, partition }
}

async function readStats(
  session: Session,
  path: string,
  rows: number,
  columns: readonly FileColumn[],
): Promise<string> {
  const chunks = Map.groupBy(await session.rows(chunkQuery(path, columns)), ([name]) =>
    String(name),
  )
  const all = columns.map((column) => columnStats(column, chunks.get(column.name) ?? []))
  return statsJson(rows, all)
}

/** One row for each column and row group: name, nulls, values, smallest, largest. */
function chunkQuery(path: string, columns: readonly FileColumn[]): string {
  const names = columns.map(({ name }) => literal(name)).join(', ')
  const instants = columns
    .filter(({ type }) => type === 'timestamp')
    .map(({ name }) => literal(name))
  const isInstant = `path_in_schema IN (${instants.join(', ') || "''"})`
  const bound = (text: string): string =>
    `CASE WHEN ${isInstant} THEN CAST(epoch_us(TRY_CAST(${text} AS TIMESTAMPTZ)) AS VARCHAR) ` +
    `WHEN coalesce(min_is_exact AND max_is_exact, true) THEN ${text} END`
  return (
    `SELECT path_in_schema, stats_null_count, num_values, ${bound('stats_min_value')}, ` +
    `${bound('stats_max_value')} FROM parquet_metadata(${literal(path)}) ` +
    `WHERE path_in_schema IN (${names})`
  )
}

function columnStats(
  { name, type, semantic }: FileColumn,
  chunks: readonly (readonly Value[])[],
): ColumnStats {
  const nullCount = chunks.reduce((sum, [, nulls]) => sum + Number(nulls ?? 0), 0)
  const filled = chunks.filter(([, nulls, values]) => Number(nulls ?? 0) < Number(values))
  const bounds = filled.map(([, , , min, max]) => ({ min: asText(min), max: asText(max) }))
  const order = orderOf(type)
  // The order of JSON texts says nothing to a reader, and they are long.
  const isKnown = order && semantic !== 'json' && bounds.every(isBounded)
  if (!isKnown) return { name, type, nullCount, min: undefined, max: undefined }
  const mins = bounds.flatMap(({ min }) => min ?? []).toSorted(order)
  const maxs = bounds.flatMap(({ max }) => max ?? []).toSorted(order)
  const shown = (text: string | undefined): string | undefined =>
    text !== undefined && type === 'float' ? String(Math.fround(Number(text))) : text
  return { name, type, nullCount, min: shown(mins[0]), max: shown(maxs.at(-1)) }
}

function isBounded({
  min,
  max,
}: {
  readonly min: string | undefined
  readonly max: string | undefined
}): boolean {
  return min !== undefined && max !== undefined
}

function asText(value: Value | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

type Order = (a: string, b: string) => number

/** How the bounds of several row groups compare; undefined for types without useful bounds. */
function orderOf(type: ColumnType): Order | undefined {
  const decimal = decimalParts(type)
  if (decimal) return byNumber((text) => BigInt(text.replace('.', '')))
  switch (type) {
    case 'short':
    case 'integer':
    case 'long':
    case 'timestamp':
      return byNumber(BigInt)
    case 'float':
    case 'double':
      return byNumber(Number)
    case 'string':
      return (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))
    case 'date':
      return byNumber(dayNumber)
    case 'boolean':
    case 'binary':
    default:
      return undefined
  }
}

function byNumber(read: (text: string) => number | bigint): Order {
  return (a, b) => {
    const [x, y] = [read(a), read(b)]
    return x < y ? -1 : x > y ? 1 : 0
  }
}

/** A number in the order of dates: "2024-01-31" or "0044-03-15 (BC)". */
function dayNumber(text: string): number {
  const [year = 0, month = 0, day = 0] = text.split(/[- ]/).map((part) => Number.parseInt(part, 10))
  return (text.endsWith('(BC)') ? -year : year) * 400 + month * 31 + day
}
