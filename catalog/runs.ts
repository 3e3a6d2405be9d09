/**
 * Runs, their counters and their events.
 *
 * Counters of one run are spread over a few rows and summed when read, so that the shards of a run do
 * not queue behind each other's commits.
 */
import type { Json } from '../lib/json.ts'
import { type Catalog, type Counters, NO_COUNTERS, type RunEvent, type RunRow } from './catalog.ts'
import { addEvents } from './cluster-events.ts'
import {
  type CatalogDeps,
  type Engine,
  insertRows,
  jsonOf,
  numberOf,
  numberOrNull,
  printable,
  type Row,
  type Sql,
  textOf,
  textOrNull,
} from './sql.ts'

type RunMethods = Pick<
  Catalog,
  'createRun' | 'finishRun' | 'addCounters' | 'runs' | 'run' | 'addEvents' | 'events' | 'markLost'
>

const SLOTS = 16

/** Counter → its column. */
const COLUMNS: Readonly<Record<keyof Counters, string>> = {
  rowsRead: 'rows_read',
  rowsWritten: 'rows_written',
  rowsQuarantined: 'rows_quarantined',
  bytesRead: 'bytes_read',
  bytesWritten: 'bytes_written',
  files: 'files',
  requests: 'requests',
  notModified: 'not_modified',
  retries: 'retries',
}
const COUNTERS = Object.keys(COLUMNS) as readonly (keyof Counters)[]
const COUNTER_COLUMNS = Object.values(COLUMNS)

const SUMS = COUNTER_COLUMNS.map(
  (column) => `(select cast(coalesce(sum(${column}), 0) as bigint) from run_counter as c
                where c.run_id = run.id) as ${column}`,
)
/** A run with the sums of its counters. */
export const SELECT_RUN = `select run.*, ${SUMS.join(', ')} from run`

export function runMethods(engine: Engine, deps: CatalogDeps): RunMethods {
  return {
    createRun: (run) => engine.write((sql) => createRun(sql, deps, run)),
    finishRun: (runId, end) => engine.write((sql) => writeEndOfRun(sql, deps, runId, end)),
    addCounters: (runId, counters) => engine.write((sql) => addCounters(sql, runId, '', counters)),
    runs: ({ pipeline, before = Number.MAX_SAFE_INTEGER, limit }) =>
      engine.read(async (sql) => {
        const of = pipeline === undefined ? '' : 'and pipeline = ?'
        const text = `${SELECT_RUN} where id < ? ${of} order by id desc limit ?`
        const values = pipeline === undefined ? [before, limit] : [before, pipeline, limit]
        return (await sql.rows(text, ...values)).map(toRun)
      }),
    run: (id) =>
      engine.read(async (sql) => {
        const [row] = await sql.rows(`${SELECT_RUN} where id = ?`, id)
        return row && toRun(row)
      }),
    addEvents: async (events) => {
      if (events.length === 0) return
      const own = events.map((event) => ({ ...event, pipeline: null, worker: null }))
      await engine.write((sql) => addEvents(sql, own))
    },
    events: (runId) =>
      engine.read(async (sql) => {
        const text = 'select * from run_event where run_id = ? order by id'
        return (await sql.rows(text, runId)).map(toEvent)
      }),
    markLost: (worker) =>
      engine.write((sql) =>
        sql.run(
          // A run of the cluster is not lost with the worker that looks after it.
          `update run set status = 'lost', ended_at = ?
           where worker = ? and status = 'running' and trigger_kind is null`,
          deps.clock.now(),
          worker,
        ),
      ),
  }
}

async function createRun(
  sql: Sql,
  deps: CatalogDeps,
  run: Parameters<Catalog['createRun']>[0],
): Promise<number> {
  const [row] = await sql.rows(
    `insert into run (pipeline, kind, status, worker, started_at, shards_total)
     values (?, ?, 'running', ?, ?, ?) returning id`,
    run.pipeline,
    run.kind,
    run.worker,
    deps.clock.now(),
    run.shardsTotal,
  )
  return numberOf(row!, 'id')
}

/** Adds to a run's counters; `spread` chooses the row, so that equal spreads meet in one. */
export async function addCounters(
  sql: Sql,
  runId: number,
  spread: string,
  counters: Partial<Counters>,
): Promise<void> {
  const values = COUNTERS.map((counter) => counters[counter] ?? 0)
  if (values.every((value) => value === 0)) return
  const sums = COUNTER_COLUMNS.map(
    (column) => `${column} = run_counter.${column} + excluded.${column}`,
  )
  await insertRows(
    sql,
    'run_counter',
    ['run_id', 'slot', ...COUNTER_COLUMNS],
    [[runId, slotOf(spread), ...values]],
    `on conflict (run_id, slot) do update set ${sums.join(', ')}`,
  )
}

/** The counters of many commits as those of one. */
export function sumCounters(all: readonly Partial<Counters>[]): Partial<Counters> {
  const total: Partial<Record<keyof Counters, number>> = {}
  for (const counters of all) {
    for (const counter of COUNTERS) {
      const value = counters[counter] ?? 0
      if (value !== 0) total[counter] = (total[counter] ?? 0) + value
    }
  }
  return total
}

function slotOf(text: string): number {
  let hash = 0
  for (const character of text) hash = (hash * 31 + character.codePointAt(0)!) % 65_521
  return hash % SLOTS
}

export function toRun(row: Row): RunRow {
  return {
    id: numberOf(row, 'id'),
    pipeline: textOf(row, 'pipeline'),
    kind: textOf(row, 'kind') as RunRow['kind'],
    status: textOf(row, 'status') as RunRow['status'],
    worker: textOf(row, 'worker'),
    startedAt: numberOf(row, 'started_at'),
    endedAt: numberOrNull(row, 'ended_at'),
    shardsTotal: numberOf(row, 'shards_total'),
    shardsDone: numberOf(row, 'shards_done'),
    shardsFailed: numberOf(row, 'shards_failed'),
    counters: toCounters(row),
    error: textOrNull(row, 'error'),
  }
}

/** The same for a run of one machine and for one of a cluster; who may end it is up to the caller. */
export async function writeEndOfRun(
  sql: Sql,
  deps: CatalogDeps,
  runId: number,
  end: Pick<RunRow, 'status' | 'shardsDone' | 'shardsFailed' | 'error'>,
): Promise<void> {
  await sql.run(
    `update run set status = ?, shards_done = ?, shards_failed = ?, error = ?, ended_at = ?
     where id = ?`,
    end.status,
    end.shardsDone,
    end.shardsFailed,
    end.error === null ? null : printable(end.error),
    deps.clock.now(),
    runId,
  )
}

function toCounters(row: Row): Counters {
  const counters: Record<keyof Counters, number> = { ...NO_COUNTERS }
  for (const counter of COUNTERS) counters[counter] = numberOf(row, COLUMNS[counter])
  return counters
}

function toEvent(row: Row): RunEvent {
  return {
    runId: numberOf(row, 'run_id'),
    at: numberOf(row, 'at'),
    level: textOf(row, 'level') as RunEvent['level'],
    shard: textOrNull(row, 'shard'),
    kind: textOf(row, 'kind'),
    message: textOf(row, 'message'),
    data: jsonOf<Json>(row, 'data'),
  }
}
