/** Rebuilding a catalog from what the tables' logs in the bucket tell. */
import { HakiriError } from '../lib/error.ts'
import type { Catalog, RestoredTable } from './catalog.ts'
import { FILE_COLUMNS } from './commit.ts'
import { type CatalogDeps, type Engine, insertRows, jsonText, type Sql, type Value } from './sql.ts'
import { findTable } from './tables.ts'

/**
 * Workers of the lost catalog may hold epochs that no log shows. Starting this far above the newest
 * known one leaves them all behind (L3).
 */
export const RESTORED_EPOCH_JUMP = 1_000_000

export function restoreMethods(engine: Engine, deps: CatalogDeps): Pick<Catalog, 'restoreTable'> {
  return { restoreTable: (restored) => engine.write((sql) => restore(sql, deps, restored)) }
}

async function restore(sql: Sql, deps: CatalogDeps, restored: RestoredTable): Promise<void> {
  const { name } = restored.table
  if (await findTable(sql, name)) {
    throw new HakiriError('STATE_INVALID', `table "${name}" is in the catalog already`, {
      suggestion: 'Rebuild into a new, empty catalog.',
    })
  }
  await restoreTableRow(sql, deps, restored)
  await restoreShards(sql, restored)
  await restoreFiles(sql, restored)
  await sql.continueIds('run', restored.lastRunId ?? 0)
  await insertRows(
    sql,
    'table_log',
    ['table_name', 'version', 'body', 'created_at', 'published_at'],
    restored.log.map((entry) => [
      name,
      entry.version,
      entry.body,
      entry.createdAt,
      entry.publishedAt,
    ]),
  )
}

async function restoreTableRow(
  sql: Sql,
  deps: CatalogDeps,
  { table, live }: RestoredTable,
): Promise<void> {
  const now = deps.clock.now()
  const row: Readonly<Record<string, Value>> = {
    name: table.name,
    uuid: table.uuid,
    destination: table.destination,
    mode: table.mode,
    key_columns: JSON.stringify(table.key),
    partition_by: JSON.stringify(table.partitionBy),
    generation: table.generation,
    generation_max: Math.max(table.generation, ...live.map((file) => file.generation)),
    published_generation: table.nextVersion > 0 ? table.generation : null,
    schema_revision: table.schemaRevision,
    published_revision: table.nextVersion > 0 ? table.schemaRevision : null,
    columns: JSON.stringify(table.columns),
    next_version: table.nextVersion,
    publish_epoch: RESTORED_EPOCH_JUMP,
    created_at: now,
  }
  await insertRows(sql, 'data_table', Object.keys(row), [Object.values(row)])
  if (table.schemaRevision === 0) return
  await insertRows(
    sql,
    'schema_revision',
    ['table_name', 'revision', 'columns', 'changes', 'created_at'],
    [
      [
        table.name,
        table.schemaRevision,
        JSON.stringify(table.columns),
        JSON.stringify(['restored from the table log']),
        now,
      ],
    ],
  )
}

/** A shard is restored by the table that it feeds; other tables (quarantine) only know its seq. */
async function restoreShards(sql: Sql, { table, shards, epochs }: RestoredTable): Promise<void> {
  await insertRows(
    sql,
    'shard',
    [
      'pipeline',
      'shard',
      'table_name',
      'spec',
      'cursor',
      'seq',
      'epoch',
      'generation',
      'done',
      'upkeep',
    ],
    shards
      .filter((shard) => shard.table === table.name)
      .map((shard) => [
        shard.pipeline,
        shard.shard,
        shard.table,
        jsonText(shard.spec),
        jsonText(shard.cursor),
        shard.seq,
        (epochs[`${shard.pipeline}/${shard.shard}`] ?? 0) + RESTORED_EPOCH_JUMP,
        shard.generation,
        shard.done,
        shard.upkeep ?? false,
      ]),
  )
  await insertRows(
    sql,
    'table_txn',
    ['table_name', 'pipeline', 'shard', 'seq'],
    shards.map((shard) => [table.name, shard.pipeline, shard.shard, shard.seq]),
  )
}

async function restoreFiles(sql: Sql, { table, live, removed }: RestoredTable): Promise<void> {
  await insertRows(
    sql,
    'table_file',
    [...FILE_COLUMNS, 'ordinal', 'version'],
    live.map((file, ordinal) => [
      table.name,
      file.path,
      file.bytes,
      file.rows,
      file.stats,
      JSON.stringify(file.partition),
      file.schemaRevision,
      file.generation,
      file.pipeline,
      file.shard,
      ordinal,
      file.version,
    ]),
  )
  await insertRows(
    sql,
    'table_file',
    [...FILE_COLUMNS, 'ordinal', 'removed_version', 'removed_at'],
    removed.map((file, ordinal) => [
      table.name,
      file.path,
      file.bytes,
      0,
      '',
      JSON.stringify(file.partition),
      0,
      table.generation,
      '',
      '',
      ordinal,
      file.version,
      file.removedAt,
    ]),
  )
}
