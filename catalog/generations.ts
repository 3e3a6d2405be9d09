/**
 * Generations: a full load grows beside the table that readers see, and takes its place in one step or
 * is dropped without a trace. Numbers are never used twice, so a late commit cannot fit a later load.
 */
import type { Catalog } from './catalog.ts'
import { type CatalogDeps, type Engine, numberOf, numberOrNull, type Sql } from './sql.ts'
import { needTable, toTable } from './tables.ts'

type GenerationMethods = Pick<Catalog, 'beginGeneration' | 'sealGeneration' | 'abandonGeneration'>

export function generationMethods(engine: Engine, deps: CatalogDeps): GenerationMethods {
  return {
    beginGeneration: (table) =>
      engine.write(async (sql) => {
        const row = await needTable(sql, table, 'update')
        if (row['staging'] !== null) return toTable(row)
        const [begun] = await sql.rows(
          `update data_table set staging = generation_max + 1, generation_max = generation_max + 1
           where name = ? returning *`,
          table,
        )
        return toTable(begun!)
      }),
    sealGeneration: (table) => engine.write((sql) => seal(sql, deps, table)),
    abandonGeneration: (table) => engine.write((sql) => abandon(sql, table)),
  }
}

async function seal(sql: Sql, deps: CatalogDeps, table: string): Promise<boolean> {
  const row = await needTable(sql, table, 'update')
  const staging = numberOrNull(row, 'staging')
  if (staging === null) return false
  const [unfinished] = await sql.rows(
    `select 1 from shard where table_name = ? and dropped = false and upkeep = false
       and (generation <> ? or done = false) limit 1`,
    table,
    staging,
  )
  if (unfinished) return false
  await sql.run('update data_table set generation = staging, staging = null where name = ?', table)
  await retireUnpublished(sql, table, staging, deps.clock.now(), numberOf(row, 'next_version'))
  await sql.run(
    `delete from shard_state where generation < ?
       and (pipeline, shard) in (select pipeline, shard from shard where table_name = ?)`,
    staging,
    table,
  )
  return true
}

/** Commits of the replaced generation that no version holds never will be in one: bury their files. */
async function retireUnpublished(
  sql: Sql,
  table: string,
  generation: number,
  now: number,
  version: number,
): Promise<void> {
  await sql.run(
    `update table_file set removed_at = ?, removed_version = ?
     where table_name = ? and generation <> ? and version is null and removed_at is null`,
    now,
    version,
    table,
    generation,
  )
  await sql.run(
    'delete from table_commit where table_name = ? and generation <> ? and version is null',
    table,
    generation,
  )
}

/** Shards go back to the cursor that they had kept; whoever works for the dropped load is fenced. */
async function abandon(sql: Sql, table: string): Promise<void> {
  const row = await needTable(sql, table, 'update')
  const staging = numberOrNull(row, 'staging')
  if (staging === null) return
  await sql.run('update data_table set staging = null where name = ?', table)
  const ofStaging = 'where table_name = ? and generation = ?'
  await sql.run(`delete from table_file ${ofStaging}`, table, staging)
  await sql.run(`delete from table_commit ${ofStaging}`, table, staging)
  await sql.run(
    `delete from shard_state where generation = ?
       and (pipeline, shard) in (select pipeline, shard from shard where table_name = ?)`,
    staging,
    table,
  )
  await sql.run(
    `update shard set epoch = epoch + 1, generation = kept_generation, cursor = kept_cursor,
       done = kept_done ${ofStaging}`,
    table,
    staging,
  )
}
