/**
 * Shards taken many at a time, and what a holder then needs to know of them.
 *
 * Rows are locked in the order of their keys, so that two who want the same ones wait for each other
 * and neither gets half of them.
 */
import type { Json } from '../lib/json.ts'
import { assert } from '../lib/assert.ts'
import type { ClusterCatalog, ShardAcquisition } from './cluster.ts'
import type { ShardKey, ShardRow } from './rows.ts'
import { toShard } from './shards.ts'
import { type Engine, jsonOf, records, type Row, type Sql, textOf } from './sql.ts'

type AcquireMethods = Pick<ClusterCatalog, 'acquireShards' | 'shardStates'>

export function acquireMethods(engine: Engine): AcquireMethods {
  return {
    acquireShards: async (shards, holder) => {
      assertDistinct(shards)
      return shards.length === 0 ? [] : engine.write((sql) => acquire(sql, shards, holder))
    },
    shardStates: async (keys) =>
      keys.length === 0 ? [] : engine.read((sql) => readStates(sql, keys)),
  }
}

/** A key of two names as one text. */
export function keyOf({ pipeline, shard }: ShardKey): string {
  return `${pipeline}\0${shard}`
}

export function assertDistinct(keys: readonly ShardKey[]): void {
  assert(new Set(keys.map(keyOf)).size === keys.length, 'a group names a shard twice')
}

async function acquire(
  sql: Sql,
  shards: readonly ShardAcquisition[],
  holder: string,
): Promise<readonly ShardRow[]> {
  const asked = new Map(shards.map((each) => [keyOf(each), each]))
  const locked = await lockShards(sql, shards)
  // After the lock: a part is marked done under it.
  const pending = await pendingAmong(sql, shards)
  const taken = locked.flatMap((row) => {
    const shard = toShard(row)
    const { ifEpoch, ifPendingIn, generation } = asked.get(keyOf(shard))!
    if (ifPendingIn !== undefined && !pending.has(keyOf(shard))) return []
    if (ifEpoch !== undefined && ifEpoch !== shard.epoch) return []
    return [{ shard, generation }]
  })
  const each = sql.each('v', { pipeline: 'text', shard: 'text', generation: 'integer' })
  await sql.run(
    // The cursor of the generation that readers see is kept until a newer one has taken its place.
    `update shard as s set epoch = s.epoch + 1, holder = ?,
       kept_cursor = case when s.generation < v.generation then s.cursor else s.kept_cursor end,
       kept_done = case when s.generation < v.generation then s.done else s.kept_done end,
       kept_generation =
         case when s.generation < v.generation then s.generation else s.kept_generation end,
       cursor = case when s.generation < v.generation then null else s.cursor end,
       done = case when s.generation < v.generation then false else s.done end,
       generation = case when s.generation < v.generation then v.generation else s.generation end
     from ${each} where s.pipeline = v.pipeline and s.shard = v.shard`,
    holder,
    records(taken.map(({ shard, generation }) => ({ ...keysOf(shard), generation }))),
  )
  return taken.map(({ shard, generation }) => acquired(shard, generation, holder))
}

/** Keys of those whose part of the run they are asked for is pending. */
async function pendingAmong(
  sql: Sql,
  shards: readonly ShardAcquisition[],
): Promise<ReadonlySet<string>> {
  const asked = shards.flatMap(({ ifPendingIn, ...key }) =>
    ifPendingIn === undefined ? [] : [{ ...keysOf(key), run_id: ifPendingIn }],
  )
  if (asked.length === 0) return new Set()
  const rows = await sql.rows(
    `select part.pipeline, part.shard from run_shard as part
     join ${sql.each('v', { pipeline: 'text', shard: 'text', run_id: 'integer' })}
       on v.run_id = part.run_id and v.shard = part.shard and v.pipeline = part.pipeline
     where part.state = 'pending'`,
    records(asked),
  )
  return new Set(
    rows.map((row) => keyOf({ pipeline: textOf(row, 'pipeline'), shard: textOf(row, 'shard') })),
  )
}

/** What the statement above makes of the row. */
function acquired(row: ShardRow, generation: number, holder: string): ShardRow {
  const begun = row.generation < generation ? { cursor: null, done: false, generation } : {}
  return { ...row, ...begun, epoch: row.epoch + 1, holder }
}

function keysOf({ pipeline, shard }: ShardKey): { pipeline: string; shard: string } {
  return { pipeline, shard }
}

/** Holds those of the shards that are there, in the order of their keys. */
export function lockShards(sql: Sql, keys: readonly ShardKey[]): Promise<readonly Row[]> {
  return sql.rows(
    `select s.* from shard as s
     join ${sql.each('v', { pipeline: 'text', shard: 'text' })}
       on v.pipeline = s.pipeline and v.shard = s.shard
     where s.dropped = false order by s.pipeline, s.shard ${sql.lock('no key update', 's')}`,
    records(keys.map(keysOf)),
  )
}

type ShardStates = Awaited<ReturnType<ClusterCatalog['shardStates']>>

async function readStates(sql: Sql, keys: readonly ShardKey[]): Promise<ShardStates> {
  const rows = await sql.rows(
    `select state.pipeline, state.shard, state.key, state.value from shard_state as state
     join ${sql.each('v', { pipeline: 'text', shard: 'text' })}
       on v.pipeline = state.pipeline and v.shard = state.shard
     join shard as s on s.pipeline = state.pipeline and s.shard = state.shard
       and s.generation = state.generation
     where s.dropped = false order by state.pipeline, state.shard, state.key`,
    records(keys.map(keysOf)),
  )
  const found = Map.groupBy(rows, (row) =>
    keyOf({ pipeline: textOf(row, 'pipeline'), shard: textOf(row, 'shard') }),
  )
  return [...found.values()].map((group) => ({
    pipeline: textOf(group[0]!, 'pipeline'),
    shard: textOf(group[0]!, 'shard'),
    state: Object.fromEntries(
      group.map((row): [string, Json] => [textOf(row, 'key'), jsonOf(row, 'value')]),
    ),
  }))
}
