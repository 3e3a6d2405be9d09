/**
 * The part of a run's plan that its holders need, as it is kept with the run: how each table is read and
 * written. Shards are rows of their own. What is read back was written by this program or by one a
 * version apart, so unknown fields are ignored and missing ones are an error with the run's number.
 */
import type { TableRow } from '../../catalog/catalog.ts'
import type { ReadMode } from '../../connector/connector.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import type { RunPlan } from '../prepare.ts'

export type StoredTable = {
  readonly source: string
  readonly table: string
  readonly mode: ReadMode
  readonly staged: boolean
  readonly generation: number
  readonly sourceKey: readonly string[]
}

export type StoredPlan = { readonly tables: readonly StoredTable[] }

export function storePlan(plan: RunPlan, rows: ReadonlyMap<string, TableRow>): Json {
  const tables = plan.tables.map(({ source, target, mode, staged, sourceKey }) => {
    const row = rows.get(target.name)
    if (!row) throw new HakiriError('NOT_FOUND', `the table ${target.name} was not registered`)
    const generation = staged && row.staging !== null ? row.staging : row.generation
    return { source: source.name, table: target.name, mode, staged, generation, sourceKey }
  })
  return { tables } as unknown as Json
}

export function readPlan(runId: number, stored: Json): StoredPlan {
  const plan = stored as unknown as Partial<StoredPlan> | null
  const isSound = (table: Partial<StoredTable>): boolean =>
    typeof table.source === 'string' &&
    typeof table.table === 'string' &&
    typeof table.generation === 'number' &&
    typeof table.mode?.kind === 'string' &&
    Array.isArray(table.sourceKey)
  if (Array.isArray(plan?.tables) && plan.tables.every(isSound)) return plan as StoredPlan
  throw new HakiriError(
    'CATALOG_VERSION',
    `run ${runId} was planned by another version of Hakiri`,
    {
      suggestion: `Cancel it (hakiri runs cancel ${runId}) and start it anew.`,
    },
  )
}
