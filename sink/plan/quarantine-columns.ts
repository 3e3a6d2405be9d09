/** The fixed columns of every quarantine table; ids and names never change. */
import type { Column, ColumnType } from '../../lib/column.ts'

const column = (id: number, name: string, type: ColumnType): Column => ({
  id,
  name,
  type,
  source: name,
  sourceType: type,
})

/** One row of a quarantine table: why, the row as it was read, and where it came from. */
export const QUARANTINE_COLUMNS: readonly Column[] = [
  column(1, 'reason', 'string'),
  column(2, 'raw', 'string'),
  column(3, 'pipeline', 'string'),
  column(4, 'shard', 'string'),
  column(5, 'run_id', 'long'),
  column(6, 'rejected_at', 'timestamp'),
]
