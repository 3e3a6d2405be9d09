/** Rebuilds a lost catalog from what the bucket's table logs tell. */
import type { Catalog, RestoredTable } from '../catalog/catalog.ts'
import { reconcileShards, toRestoredTable } from '../sink/plan/restore.ts'
import { findTables, readLogBodies } from '../sink/query/read-log.ts'
import type { ObjectStore } from '../sink/store/store.ts'
import { MAINTENANCE_PIPELINE } from './maintenance.ts'

/**
 * Reads every table log of the store and writes it into the catalog. Commits that were never published
 * are not in the log: their rows are pulled again, and nothing is doubled.
 */
export async function rebuildCatalog(
  destination: string,
  store: ObjectStore,
  catalog: Catalog,
): Promise<readonly RestoredTable[]> {
  const restored: RestoredTable[] = []
  for (const table of await findTables(store)) {
    restored.push(toRestoredTable({ table, destination, log: await readLogBodies(store, table) }))
  }
  const whole = reconcileShards(restored).map((table) => ({
    ...table,
    shards: table.shards.map((shard) => ({
      ...shard,
      upkeep: shard.pipeline === MAINTENANCE_PIPELINE,
    })),
  }))
  for (const table of whole) await catalog.restoreTable(table)
  return whole
}
