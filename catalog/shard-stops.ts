/** Shards that people, or failures, keep from running; the runs that count on them are told. */
import type { ClusterCatalog } from './cluster.ts'
import type { ShardKey, ShardRow } from './rows.ts'
import { lockOpenRuns, stopParts } from './run-parts.ts'
import { toShard } from './shards.ts'
import { type Engine, printable, type Sql, type Value } from './sql.ts'

type StopMethods = Pick<ClusterCatalog, 'pauseShard' | 'quarantineShard'>

export function shardStopMethods(engine: Engine): StopMethods {
  return {
    pauseShard: (key, paused) =>
      engine.write((sql) => setAndStop(sql, key, 'paused = ?', [paused], paused)),
    quarantineShard: (key, reason) => {
      const set = `quarantine = ?${reason === null ? ', failures = 0' : ''}`
      const text = reason === null ? null : printable(reason)
      return engine.write((sql) => setAndStop(sql, key, set, [text], reason !== null))
    },
  }
}

async function setAndStop(
  sql: Sql,
  key: ShardKey,
  set: string,
  values: readonly Value[],
  stops: boolean,
): Promise<ShardRow | undefined> {
  if (stops) await lockOpenRuns(sql, key.pipeline)
  const [row] = await sql.rows(
    `update shard set ${set} where pipeline = ? and shard = ? and dropped = false returning *`,
    ...values,
    key.pipeline,
    key.shard,
  )
  if (!row) return undefined
  if (stops) await stopParts(sql, key.pipeline, [key.shard])
  sql.wake('shards')
  return toShard(row)
}
