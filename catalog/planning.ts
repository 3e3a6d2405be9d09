/** What a planner of the cluster reads: light rows of many shards, and parts that want another worker. */
import type { ClusterCatalog } from './cluster.ts'
import { toShard } from './shards.ts'
import {
  booleanOf,
  type Engine,
  jsonOf,
  numberOf,
  type Row,
  rowsIn,
  textOf,
  textOrNull,
} from './sql.ts'

type PlanningMethods = Pick<ClusterCatalog, 'shard' | 'plannedShards' | 'failedParts'>

export function planningMethods(engine: Engine): PlanningMethods {
  return {
    shard: ({ pipeline, shard }) =>
      engine.read(async (sql) => {
        const text = 'select * from shard where pipeline = ? and shard = ? and dropped = false'
        const [row] = await sql.rows(text, pipeline, shard)
        return row && toShard(row)
      }),
    plannedShards: (pipelines) =>
      engine.read(async (sql) => {
        const text = `select pipeline, shard, table_name, weight, paused, quarantine from shard
          where dropped = false and upkeep = false and pipeline in (…) order by pipeline, shard`
        return (await rowsIn(sql, text, [], pipelines)).map(toPlanned)
      }),
    failedParts: () =>
      engine.read(async (sql) => {
        const rows = await sql.rows(
          `select part.pipeline, part.shard, part.failed_on from run_shard as part
           join run on run.id = part.run_id
           where run.status = 'running' and part.state = 'pending' and cast(part.failed_on as text) <> '[]'
           order by part.pipeline, part.shard`,
        )
        return rows.map((row) => ({
          pipeline: textOf(row, 'pipeline'),
          shard: textOf(row, 'shard'),
          failedOn: jsonOf<readonly string[]>(row, 'failed_on'),
        }))
      }),
  }
}

function toPlanned(row: Row) {
  return {
    pipeline: textOf(row, 'pipeline'),
    shard: textOf(row, 'shard'),
    table: textOf(row, 'table_name'),
    weight: numberOf(row, 'weight'),
    paused: booleanOf(row, 'paused'),
    quarantine: textOrNull(row, 'quarantine'),
  }
}
