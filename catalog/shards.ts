/**
 * Shards: what is known, who may write (epoch), and where each one stands (cursor, seq).
 *
 * A shard is never deleted: a dropped one keeps its seq and epoch, so that it comes back above
 * everything that was written under its name (L3).
 */
import { createHash } from 'node:crypto'
import { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import { lockOpenRuns, stopParts } from './run-parts.ts'
import type { Catalog, NewShard, ShardKey, ShardRow } from './catalog.ts'
import {
  booleanOf,
  type Engine,
  insertRows,
  jsonOf,
  jsonText,
  numberOf,
  records,
  type Row,
  rowsIn,
  type Sql,
  textOf,
  textOrNull,
} from './sql.ts'

type ShardMethods = Pick<
  Catalog,
  | 'ensureShards'
  | 'dropShards'
  | 'shards'
  | 'acquireShard'
  | 'setCursor'
  | 'shardState'
  | 'clearShardState'
>

export function shardMethods(engine: Engine): ShardMethods {
  return {
    ensureShards: (shards) => engine.write((sql) => ensureShards(sql, shards)),
    dropShards: (pipeline, shards) => engine.write((sql) => dropShards(sql, pipeline, shards)),
    shards: (pipeline) =>
      engine.read(async (sql) => {
        const where = pipeline === undefined ? '' : 'and pipeline = ?'
        const text = `select * from shard where dropped = false ${where} order by pipeline, shard`
        return (await sql.rows(text, ...(pipeline === undefined ? [] : [pipeline]))).map(toShard)
      }),
    acquireShard: (key, generation) => engine.write((sql) => acquire(sql, key, generation)),
    setCursor: (key, cursor) =>
      engine.write(async (sql) => {
        const [row] = await sql.rows(
          `update shard set cursor = ?, done = false, epoch = epoch + 1
           where pipeline = ? and shard = ? and dropped = false returning *`,
          jsonText(cursor),
          key.pipeline,
          key.shard,
        )
        return row && toShard(row)
      }),
    shardState: (key) => engine.read((sql) => readState(sql, key)),
    clearShardState: (key) =>
      engine.write(async (sql) => {
        await sql.run(
          `delete from shard_state where pipeline = ? and shard = ?`,
          key.pipeline,
          key.shard,
        )
      }),
  }
}

async function ensureShards(sql: Sql, shards: readonly NewShard[]): Promise<void> {
  const added = await insertRows(
    sql,
    'shard',
    ['pipeline', 'shard', 'table_name', 'spec', 'upkeep'],
    shards.map((each) => [
      each.pipeline,
      each.shard,
      each.table,
      jsonText(each.spec),
      each.upkeep ?? false,
    ]),
    // A dropped shard comes back with its counters; a known one stays as it is.
    `on conflict (pipeline, shard) do update set dropped = false, table_name = excluded.table_name,
       spec = excluded.spec, upkeep = excluded.upkeep where shard.dropped = true`,
  )
  if (added > 0) sql.wake('shards')
}

async function dropShards(sql: Sql, pipeline: string, shards: readonly string[]): Promise<void> {
  await lockOpenRuns(sql, pipeline)
  const columns = 'epoch = epoch + 1, cursor = null, done = false, generation = 0'
  const dropped = await rowsIn(
    sql,
    `update shard set dropped = true, ${columns} where pipeline = ? and dropped = false
       and shard in (…) returning shard`,
    [pipeline],
    shards,
  )
  if (dropped.length > 0) sql.wake('shards')
  await stopParts(sql, pipeline, shards)
  await rowsIn(
    sql,
    'delete from shard_state where pipeline = ? and shard in (…) returning shard',
    [pipeline],
    shards,
  )
}

/** The cursor of the generation that readers see is kept until a newer one has taken its place. */
async function acquire(sql: Sql, key: ShardKey, generation: number): Promise<ShardRow> {
  const [row] = await sql.rows(
    `update shard set epoch = epoch + 1, holder = null,
       kept_cursor = case when generation < cast(? as bigint) then cursor else kept_cursor end,
       kept_done = case when generation < cast(? as bigint) then done else kept_done end,
       kept_generation = case when generation < cast(? as bigint) then generation else kept_generation end,
       cursor = case when generation < cast(? as bigint) then null else cursor end,
       done = case when generation < cast(? as bigint) then false else done end,
       generation = case when generation < cast(? as bigint) then cast(? as bigint) else generation end
     where pipeline = ? and shard = ? and dropped = false returning *`,
    ...Array.from({ length: 7 }, () => generation),
    key.pipeline,
    key.shard,
  )
  if (!row) throw noShard(key)
  return toShard(row)
}

function noShard(key: ShardKey): HakiriError {
  return new HakiriError(
    'NOT_FOUND',
    `pipeline "${key.pipeline}" has no shard "${key.shard}" in the catalog`,
  )
}

export function toShard(row: Row): ShardRow {
  return {
    pipeline: textOf(row, 'pipeline'),
    shard: textOf(row, 'shard'),
    table: textOf(row, 'table_name'),
    spec: jsonOf(row, 'spec'),
    cursor: jsonOf(row, 'cursor'),
    seq: numberOf(row, 'seq'),
    epoch: numberOf(row, 'epoch'),
    generation: numberOf(row, 'generation'),
    done: booleanOf(row, 'done'),
    paused: booleanOf(row, 'paused'),
    quarantine: textOrNull(row, 'quarantine'),
    failures: numberOf(row, 'failures'),
    holder: textOrNull(row, 'holder'),
    weight: numberOf(row, 'weight'),
  }
}

// ── Connector state ───────────────────────────────────────────────────────────────────────────────

/**
 * State belongs to a generation: an ETag learnt while loading the next one must not make the visible
 * one believe that it has those rows.
 */
async function readState(sql: Sql, key: ShardKey): Promise<{ readonly [key: string]: Json }> {
  const rows = await sql.rows(
    `select state.key, state.value from shard_state as state
     join shard on shard.pipeline = state.pipeline and shard.shard = state.shard
       and shard.generation = state.generation
     where state.pipeline = ? and state.shard = ? and shard.dropped = false order by state.key`,
    key.pipeline,
    key.shard,
  )
  return Object.fromEntries(rows.map((row) => [textOf(row, 'key'), jsonOf(row, 'value')]))
}

export type StateChange = ShardKey & {
  readonly generation: number
  readonly state: { readonly [key: string]: Json }
}

/** Part of a commit: sets keys, and deletes those that are null. */
export async function writeStates(sql: Sql, changes: readonly StateChange[]): Promise<void> {
  const entries = changes.flatMap(({ pipeline, shard, generation, state }) =>
    Object.entries(state).map(([key, value]) => ({
      id: { pipeline, shard, generation, key_hash: hash(key) },
      key,
      value,
    })),
  )
  const gone = entries.filter((entry) => entry.value === null).map((entry) => entry.id)
  const set = entries.filter((entry) => entry.value !== null)
  if (gone.length > 0) {
    await sql.run(
      `delete from shard_state where (pipeline, shard, generation, key_hash) in
         (select v.pipeline, v.shard, v.generation, v.key_hash from ${sql.each('v', STATE_ID)})`,
      records(gone),
    )
  }
  await insertRows(
    sql,
    'shard_state',
    [...Object.keys(STATE_ID), 'key', 'value'],
    set.map(({ id, key, value }) => [...Object.values(id), key, JSON.stringify(value)]),
    `on conflict (pipeline, shard, generation, key_hash) do update set value = excluded.value`,
  )
}

const STATE_ID = {
  pipeline: 'text',
  shard: 'text',
  generation: 'integer',
  key_hash: 'text',
} as const

/** Keys may be long URLs; an index entry of Postgres may not. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
