/** Size, row count and statistics of a Parquet file that was just written, from its footer. */
import { stat } from 'node:fs/promises'
import { decimalParts } from '../../lib/column.ts'
import type { Column, ColumnType } from '../../lib/column.ts'
import { syncFile } from '../../lib/system/fs.ts'
import { STATS_COLUMNS_MAX, statsJson } from '../plan/stats.ts'
import type { ColumnStats } from '../plan/stats.ts'
import type { EncodedFile } from './encoder.ts'
import type { Session, Value } from './engine.ts'
import { engineType, literal } from './sql-text.ts'

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
  if (columns.length === 0) return statsJson(rows, [])
  const [row] = await session.rows(statsQuery(path, columns))
  const all = columns.map((column, index) => columnStats(column, row ?? [], index * 4))
  return statsJson(rows, all)
}

/** For each column: null count, row groups without bounds, smallest, largest. */
function statsQuery(path: string, columns: readonly FileColumn[]): string {
  const parts = columns.flatMap(({ name, type }) => {
    const isMine = `path_in_schema = ${literal(name)}`
    const unknown =
      `${isMine} AND stats_null_count < num_values AND ` +
      `(stats_min_value IS NULL OR stats_max_value IS NULL OR NOT coalesce(max_is_exact, true))`
    const bound = (aggregate: string, column: string): string =>
      boundText(
        `${aggregate}(CASE WHEN ${isMine} THEN CAST(${column} AS ${engineType(type)}) END)`,
        type,
      )
    return [
      `CAST(sum(stats_null_count) FILTER (WHERE ${isMine}) AS BIGINT)`,
      `count(*) FILTER (WHERE ${unknown})`,
      bound('min', 'stats_min_value'),
      bound('max', 'stats_max_value'),
    ]
  })
  return `SELECT ${parts.join(', ')} FROM parquet_metadata(${literal(path)})`
}

function boundText(bound: string, type: ColumnType): string {
  if (type === 'timestamp') return `CAST(epoch_us(${bound}) AS VARCHAR)`
  if (type === 'float') return `CAST(CAST(${bound} AS DOUBLE) AS VARCHAR)`
  return `CAST(${bound} AS VARCHAR)`
}

function columnStats(column: FileColumn, row: readonly Value[], at: number): ColumnStats {
  const { name, type, semantic } = column
  const [nulls, unknown, min, max] = row.slice(at, at + 4)
  // The order of JSON texts says nothing to a reader, and they are long.
  const isBounded = Number(unknown) === 0 && semantic !== 'json' && isOrdered(type)
  return {
    name,
    type,
    nullCount: Number(nulls ?? 0),
    min: isBounded && typeof min === 'string' ? min : undefined,
    max: isBounded && typeof max === 'string' ? max : undefined,
  }
}

function isOrdered(type: ColumnType): boolean {
  return decimalParts(type) !== undefined || (type !== 'binary' && type !== 'boolean')
}
