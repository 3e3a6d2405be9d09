/** Events of the cluster and of its runs, in one order, and the wake-ups of those who follow. */
import type { ClusterCatalog, ClusterEvent, EventFilter, NewClusterEvent } from './cluster.ts'
import {
  type Engine,
  insertRows,
  jsonOf,
  jsonText,
  numberOf,
  numberOrNull,
  printable,
  records,
  type Row,
  type Sql,
  textOf,
  textOrNull,
  type Value,
} from './sql.ts'

type EventMethods = Pick<ClusterCatalog, 'addClusterEvents' | 'clusterEvents' | 'onWake'>

export function clusterEventMethods(engine: Engine): EventMethods {
  return {
    addClusterEvents: async (events) => {
      if (events.length > 0) await engine.write((sql) => addEvents(sql, events))
    },
    clusterEvents: (filter) => engine.read((sql) => readEvents(sql, filter)),
    onWake: (listener) => engine.listen(listener),
  }
}

/**
 * Whoever follows the events by id must not miss one that is committed after a later one, so writers
 * take turns.
 */
export async function addEvents(sql: Sql, events: readonly NewClusterEvent[]): Promise<void> {
  await sql.exclusive('events')
  const pipelines = await pipelinesOf(sql, events)
  await insertRows(
    sql,
    'run_event',
    ['run_id', 'at', 'level', 'pipeline', 'shard', 'worker', 'kind', 'message', 'data'],
    events.map((event) => [
      event.runId,
      event.at,
      event.level,
      event.pipeline ?? (event.runId === null ? null : (pipelines.get(event.runId) ?? null)),
      event.shard,
      event.worker,
      event.kind,
      printable(event.message),
      jsonText(event.data),
    ]),
  )
  sql.wake('events')
}

/** An event of a run is one of its pipeline. */
async function pipelinesOf(
  sql: Sql,
  events: readonly NewClusterEvent[],
): Promise<ReadonlyMap<number, string>> {
  const runs = events.flatMap(({ pipeline, runId }) =>
    pipeline === null && runId !== null ? [{ id: runId }] : [],
  )
  if (runs.length === 0) return new Map()
  const rows = await sql.rows(
    `select id, pipeline from run where id in (select v.id from ${sql.each('v', { id: 'integer' })})`,
    records(runs),
  )
  return new Map(rows.map((row) => [numberOf(row, 'id'), textOf(row, 'pipeline')]))
}

async function readEvents(sql: Sql, filter: EventFilter): Promise<readonly ClusterEvent[]> {
  const values: Value[] = [filter.afterId]
  if (filter.runId !== undefined) values.push(filter.runId)
  if (filter.pipeline !== undefined) values.push(filter.pipeline)
  const rows = await sql.rows(
    `select * from run_event where id > ? ${filter.runId === undefined ? '' : 'and run_id = ?'}
       ${filter.pipeline === undefined ? '' : 'and pipeline = ?'}
       order by id ${filter.newest === true ? 'desc' : ''} limit ?`,
    ...values,
    filter.limit,
  )
  const found = rows.map(toClusterEvent)
  return filter.newest === true ? found.toReversed() : found
}

function toClusterEvent(row: Row): ClusterEvent {
  return {
    id: numberOf(row, 'id'),
    at: numberOf(row, 'at'),
    level: textOf(row, 'level') as ClusterEvent['level'],
    runId: numberOrNull(row, 'run_id'),
    pipeline: textOrNull(row, 'pipeline'),
    shard: textOrNull(row, 'shard'),
    worker: textOrNull(row, 'worker'),
    kind: textOf(row, 'kind'),
    message: textOf(row, 'message'),
    data: jsonOf(row, 'data'),
  }
}
