/** One batch into local Parquet files: planned against the newest schema, and again when it moved. */
import type { TableRow } from '../catalog/catalog.ts'
import { assert } from '../lib/assert.ts'
import { HakiriError } from '../lib/error.ts'
import type { EncodeResult } from '../sink/encoder/encoder.ts'
import type { BatchInput, ObservedColumn } from '../sink/plan/batch-plan.ts'
import type { ShardJob, WorkerDeps } from './deps.ts'
import { planForTable, type BatchPlace } from './plan-for-table.ts'

/** Times a batch may be planned anew because another worker changed the schema, or values did not fit. */
const REPLANS_MAX = 8

export type EncodedBatch = EncodeResult & { readonly revision: number }

export type BatchToEncode = {
  /** Undefined: the batch holds no rows. */
  readonly input: BatchInput | undefined
  readonly seen: Promise<readonly ObservedColumn[]>
  readonly place: BatchPlace
  /** An existing folder that only this batch writes to. */
  readonly outFolder: string
}

/** `seen` is what inspecting the batch found; columns whose values do not fit are planned again as text. */
export async function encodeBatch(
  job: ShardJob,
  { input, seen, place, outFolder }: BatchToEncode,
  deps: WorkerDeps,
  signal: AbortSignal,
): Promise<EncodedBatch> {
  let table = await tableRow(job, deps)
  if (!input) return { revision: table.schemaRevision, files: [], rows: 0, rejected: [] }
  let observed = await seen
  for (let round = 0; round < REPLANS_MAX; round++) {
    const planned = await planForTable(job, table, observed, place, deps)
    table = planned.table
    if (planned.kind === 'moved') continue
    const result = await deps.encoder.encode({ input, plan: planned.plan, outFolder }, signal)
    if (result.kind === 'encoded') return { ...result, revision: table.schemaRevision }
    observed = asText(observed, result.columns)
  }
  throw new HakiriError(
    'ENCODE_FAILED',
    `${job.table}: the schema kept changing while a batch was planned`,
  )
}

async function tableRow(job: ShardJob, deps: WorkerDeps): Promise<TableRow> {
  const table = await deps.catalog.table(job.table)
  assert(table, `table ${job.table} was registered before its shards run`)
  return table
}

/** Planned as text, misfits go where the policy says. */
function asText(
  observed: readonly ObservedColumn[],
  misfits: readonly string[],
): readonly ObservedColumn[] {
  const names = new Set(misfits)
  return observed.map((column) =>
    names.has(column.name) ? { ...column, type: 'string', semantic: 'text', misfit: true } : column,
  )
}
