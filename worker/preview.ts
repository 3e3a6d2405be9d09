/** What a run would do to the schema of a table, as far as the source can tell without reading rows. */
import type { Pipeline } from '../manifest/manifest.ts'
import { planBatch } from '../sink/plan/plan-batch.ts'
import type { TablePlan } from './prepare.ts'

/** Sentences such as "added column city (string)", or why the run would fail. */
export function previewChanges(table: TablePlan, pipeline: Pipeline): readonly string[] {
  const { existing, source } = table
  if (!existing || !source.columns || existing.columns.length === 0) return []
  const planned = planBatch({
    table: existing.name,
    mode: existing.mode,
    columns: existing.columns,
    observed: source.columns.map((column) => ({ ...column, empty: false })),
    policy: pipeline.schema,
    types: { ...pipeline.types, ...pipeline.tables[source.name]?.types },
    key: table.sourceKey,
    partitionBy: pipeline.partitionBy,
    sequence: 0n,
  })
  if (planned.kind === 'failed') return [`${existing.name}: would fail: ${planned.failure.message}`]
  return planned.changes.map((change) => `${existing.name}: ${change}`)
}
