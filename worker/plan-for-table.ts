/** Plans a batch against a table and makes the table ready for it: schema, key, partition columns. */
import type { TableRow } from '../catalog/catalog.ts'
import type { BatchPlan, ObservedColumn } from '../sink/plan/batch-plan.ts'
import { failureError } from '../sink/plan/failure.ts'
import { planBatch, type Planned } from '../sink/plan/plan-batch.ts'
import type { ShardJob, WorkerDeps } from './deps.ts'
import { ensureQuarantine } from './quarantine.ts'

export type TablePlanning =
  | { readonly kind: 'ready'; readonly table: TableRow; readonly plan: BatchPlan }
  /** Another worker changed the schema first: plan again. */
  | { readonly kind: 'moved'; readonly table: TableRow }

/** How `_hakiri_seq` is made up: run, then the shard's commits, then batches within one commit. */
const COMMITS_PER_RUN = 2n ** 30n
const BATCHES_PER_COMMIT = 2n ** 10n

/** Where a batch stands among all batches of its shard. */
export type BatchPlace = { readonly seq: number; readonly batch: number }

/** The schema is evolved before anything is encoded; a file never precedes its columns. */
export async function planForTable(
  job: ShardJob,
  table: TableRow,
  observed: readonly ObservedColumn[],
  place: BatchPlace,
  deps: WorkerDeps,
): Promise<TablePlanning> {
  const decisions = await deps.catalog.decisions()
  const planned = planBatch({
    table: job.table,
    mode: table.mode,
    columns: table.columns,
    observed,
    // Whether the table may be at all was decided when the run was planned.
    policy: { ...job.pipeline.schema, tables: 'evolve' },
    types: { ...job.pipeline.types, ...job.pipeline.tables[job.shard.sourceTable]?.types },
    key: job.sourceKey,
    partitionBy: job.pipeline.partitionBy,
    decisions: decisions.filter((decision) => decision.table === job.table),
    // Later runs win over earlier ones, later batches over earlier ones.
    sequence: sequenceOf(job.runId, place),
  })
  if (planned.kind === 'failed') throw failureError(planned.failure)
  for (const change of planned.decisions) {
    await deps.catalog.requestDecision(job.table, job.pipeline.name, change)
  }
  if (planned.plan.rejects.length > 0) await ensureQuarantine(deps.catalog, table)
  if (planned.changes.length === 0) return { kind: 'ready', table, plan: planned.plan }
  return evolve(job, table, planned, deps)
}

function sequenceOf(runId: number, { seq, batch }: BatchPlace): bigint {
  return (BigInt(runId) * COMMITS_PER_RUN + BigInt(seq)) * BATCHES_PER_COMMIT + BigInt(batch)
}

async function evolve(
  job: ShardJob,
  table: TableRow,
  planned: Planned,
  deps: WorkerDeps,
): Promise<TablePlanning> {
  await deps.catalog.ensureTable({ ...table, key: planned.key, partitionBy: planned.partitionBy })
  const evolved = await deps.catalog.evolveSchema(
    job.table,
    table.schemaRevision,
    planned.columns,
    planned.changes,
    job.runId,
  )
  if (evolved.kind === 'conflict') return { kind: 'moved', table: evolved.table }
  for (const change of planned.changes) {
    deps.onProgress({ kind: 'schema', table: job.table, change })
  }
  return { kind: 'ready', table: evolved.table, plan: planned.plan }
}
