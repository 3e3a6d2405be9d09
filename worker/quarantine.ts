/** Rejected rows go to a quarantine table beside their own, never silently away; too many stop the shard. */
import type { Catalog, TableRow } from '../catalog/catalog.ts'
import { HakiriError } from '../lib/error.ts'
import type { RejectedRow } from '../sink/encoder/encoder.ts'
import { quarantineTable } from '../sink/plan/names.ts'
import { QUARANTINE_COLUMNS } from '../sink/plan/quarantine-columns.ts'
import type { ShardJob, WorkerDeps } from './deps.ts'

/** Registers the quarantine table of `table` the first time a row needs it. */
export async function ensureQuarantine(catalog: Catalog, table: TableRow): Promise<TableRow> {
  const name = quarantineTable(table.name)
  const row = await catalog.ensureTable({
    name,
    destination: table.destination,
    mode: 'append',
    key: [],
    partitionBy: [],
  })
  if (row.columns.length > 0) return row
  const evolved = await catalog.evolveSchema(
    name,
    row.schemaRevision,
    QUARANTINE_COLUMNS,
    ['created'],
    null,
  )
  return evolved.table
}

/** Lets the rejects of one batch into quarantine, or fails the shard when there are too many. */
export async function admitRejects(
  job: ShardJob,
  deps: WorkerDeps,
  rejects: readonly RejectedRow[],
  rowsInBatch: number,
): Promise<void> {
  if (rejects.length === 0) return
  const table = await deps.catalog.table(job.table)
  if (table) await ensureQuarantine(deps.catalog, table)
  const before = (await deps.catalog.run(job.runId))?.counters
  const rejected = (before?.rowsQuarantined ?? 0) + rejects.length
  const seen = (before?.rowsRead ?? 0) + rowsInBatch
  const { rowsMax, ratioMax } = job.pipeline.quarantine
  if (rejected <= rowsMax && (rejected <= 1 || rejected / Math.max(1, seen) <= ratioMax)) return
  throw new HakiriError(
    'QUARANTINE_FULL',
    `${job.table}: ${rejected} of ${seen} rows were rejected, the first because ${rejects[0]?.reason ?? 'unknown'}`,
    {
      suggestion: `Mend the source, or raise quarantine = { max_rows, max_ratio } of pipeline ${job.pipeline.name}.`,
    },
  )
}
