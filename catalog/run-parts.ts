/**
 * The parts of a run: one row for each shard that it works on.
 *
 * A part leaves 'pending' once: in the transaction of the shard's last commit, or settled by its holder
 * (settle.ts), or stopped with the shard or the run.
 */
import type { ClusterCatalog, NewRunShard, RunProgress, RunShard } from './cluster.ts'
import type { ShardKey } from './rows.ts'
import {
  chunks,
  type Engine,
  jsonOf,
  numberOf,
  records,
  type Row,
  rowsIn,
  type Sql,
  textOf,
  textOrNull,
  type Value,
} from './sql.ts'

type PartMethods = Pick<
  ClusterCatalog,
  'runProgress' | 'runShards' | 'pendingShards' | 'pendingParts' | 'retryFailed'
>

/** A part with what its connector needs; the row of a shard stays for ever. */
const SELECT = `select part.*, shard.spec from run_shard as part
  join shard on shard.pipeline = part.pipeline and shard.shard = part.shard`
const LIST_MAX = 1_000_000
/** Parts in one statement. */
const INSERT_MAX = 5_000

export function partMethods(engine: Engine): PartMethods {
  return {
    runProgress: (runId) => engine.read((sql) => progress(sql, runId)),
    runShards: (runId, { state, limit, after } = {}) =>
      engine.read(async (sql) => {
        const values: Value[] = [runId]
        if (state !== undefined) values.push(state)
        if (after !== undefined) values.push(after)
        const rows = await sql.rows(
          `${SELECT} where part.run_id = ? ${state === undefined ? '' : 'and part.state = ?'}
             ${after === undefined ? '' : 'and part.shard > ?'} order by part.shard limit ?`,
          ...values,
          limit ?? LIST_MAX,
        )
        return rows.map(toRunShard)
      }),
    pendingShards: (pipelines) =>
      engine.read(async (sql) => {
        const text = `${SELECT} join run on run.id = part.run_id
          where run.status = 'running' and part.state = 'pending' and part.pipeline in (…)
          order by part.pipeline, part.run_id, part.shard`
        return (await rowsIn(sql, text, [], pipelines)).map(toRunShard)
      }),
    pendingParts: async (shards) =>
      shards.length === 0 ? [] : engine.read((sql) => pendingAmong(sql, shards)),
    retryFailed: (runId) => engine.write((sql) => retryFailed(sql, runId)),
  }
}

async function pendingAmong(sql: Sql, shards: readonly ShardKey[]): Promise<readonly RunShard[]> {
  const rows = await sql.rows(
    `${SELECT} join run on run.id = part.run_id
     join ${sql.each('v', { pipeline: 'text', shard: 'text' })}
       on v.pipeline = part.pipeline and v.shard = part.shard
     where run.status = 'running' and ${IS_PENDING}
     order by part.pipeline, part.run_id, part.shard`,
    records(shards.map(({ pipeline, shard }) => ({ pipeline, shard }))),
  )
  return rows.map(toRunShard)
}

async function progress(sql: Sql, runId: number): Promise<RunProgress> {
  const rows = await sql.rows(
    'select state, count(*) as parts from run_shard where run_id = ? group by state',
    runId,
  )
  const count = new Map(rows.map((row) => [textOf(row, 'state'), numberOf(row, 'parts')]))
  return {
    pending: count.get('pending') ?? 0,
    done: count.get('done') ?? 0,
    failed: count.get('failed') ?? 0,
    stopped: count.get('stopped') ?? 0,
  }
}

/** Those that may not run, and those that were dropped since they failed, stay failed. */
async function retryFailed(sql: Sql, runId: number): Promise<number> {
  const [run] = await sql.rows(
    `select 1 from run where id = ? and status = 'running' ${sql.lock('no key update')}`,
    runId,
  )
  if (!run) return 0
  const count = await sql.run(
    `update run_shard set state = 'pending', attempts = 0, next_at = 0, failed_on = '[]'
     where run_id = ? and state = 'failed' and ${isRunnable(true)}`,
    runId,
  )
  if (count > 0) sql.wake('runs')
  return count
}

function isRunnable(runnable: boolean): string {
  return `${runnable ? '' : 'not '}exists (select 1 from shard where shard.pipeline = run_shard.pipeline
    and shard.shard = run_shard.shard and shard.dropped = false and shard.paused = false
    and shard.quarantine is null)`
}

/** All pending, but for shards that were paused, quarantined or dropped since the run was planned. */
export async function insertParts(
  sql: Sql,
  run: { readonly id: number; readonly pipeline: string },
  parts: readonly NewRunShard[],
): Promise<void> {
  const columns = { shard: 'text', table_name: 'text' } as const
  for (const some of chunks(parts, INSERT_MAX)) {
    await sql.run(
      `insert into run_shard (run_id, pipeline, shard, table_name)
       select cast(? as bigint), cast(? as text), v.shard, v.table_name
       from ${sql.each('v', columns)} where true on conflict (run_id, shard) do nothing`,
      run.id,
      run.pipeline,
      records(some.map(({ shard, table }) => ({ shard, table_name: table }))),
    )
  }
  await sql.run(
    `update run_shard set state = 'stopped'
     where run_id = ? and state = 'pending' and ${isRunnable(false)}`,
    run.id,
  )
}

/**
 * For parts that are looked up by their keys: said like this, Postgres does not walk the index of
 * pending parts instead, which in a run that has just begun holds them all.
 */
export const IS_PENDING = `part.state not in ('done', 'failed', 'stopped')`

export type CommittedPart = ShardKey & {
  readonly runId: number
  readonly done: boolean
  readonly holder: string | null
}

/** Part of a commit: what a last commit means for the run, and that any commit ends a row of failures. */
export async function settleCommitted(sql: Sql, parts: readonly CommittedPart[]): Promise<void> {
  const columns = {
    run_id: 'integer',
    pipeline: 'text',
    shard: 'text',
    done: 'boolean',
    holder: 'text',
  } as const
  const changed = await sql.run(
    `update run_shard as part set attempts = 0, error = null,
       worker = case when v.done then v.holder else part.worker end,
       state = case when v.done then 'done' else part.state end
     from ${sql.each('v', columns)}
     where part.run_id = v.run_id and part.shard = v.shard and part.pipeline = v.pipeline
       and ${IS_PENDING} and (v.done or part.attempts > 0)`,
    records(
      parts.map(({ runId, pipeline, shard, done, holder }) => ({
        run_id: runId,
        pipeline,
        shard,
        done,
        holder,
      })),
    ),
  )
  if (changed > 0)
    await wakeAtEnd(sql, new Set(parts.flatMap((each) => (each.done ? each.runId : []))))
}

/**
 * Whoever waits for the end of a run hears that its last part is done. Of two last ones that are written
 * at the same moment neither may see the other: looking now and then stays necessary.
 */
export async function wakeAtEnd(sql: Sql, runIds: ReadonlySet<number>): Promise<void> {
  for (const runId of runIds) if (!(await hasPendingPart(sql, runId))) sql.wake('runs')
}

export async function hasPendingPart(sql: Sql, runId: number): Promise<boolean> {
  const text = `select 1 from run_shard where run_id = ? and state = 'pending' limit 1`
  return (await sql.rows(text, runId)).length > 0
}

/** Ends what is pending of these shards, in any run. The runs are held first, see `lockOpenRuns`. */
export async function stopParts(
  sql: Sql,
  pipeline: string,
  shards: readonly string[],
): Promise<void> {
  const stopped = await rowsIn(
    sql,
    `update run_shard set state = 'stopped'
     where pipeline = ? and state = 'pending' and shard in (…) returning shard`,
    [pipeline],
    shards,
  )
  if (stopped.length > 0) sql.wake('runs')
}

/**
 * Whoever changes which shards may run holds the pipeline's runs that are not over, as does whoever
 * adds parts to one: else a part could be added for a shard that was stopped at that moment. A run that
 * is being asked for cannot be seen yet, and starts only after that.
 */
export async function lockOpenRuns(sql: Sql, pipeline: string): Promise<void> {
  await lockStarts(sql, pipeline)
  await sql.rows(
    `select id from run where pipeline = ? and trigger_kind is not null
       and status in ('queued', 'running', 'finishing') order by id ${sql.lock('no key update')}`,
    pipeline,
  )
}

/** To be taken before any run is held. */
export async function lockStarts(sql: Sql, pipeline: string): Promise<void> {
  await sql.exclusive(`starts of ${pipeline}`)
}

export function toRunShard(row: Row): RunShard {
  return {
    runId: numberOf(row, 'run_id'),
    pipeline: textOf(row, 'pipeline'),
    shard: textOf(row, 'shard'),
    table: textOf(row, 'table_name'),
    spec: jsonOf(row, 'spec'),
    state: textOf(row, 'state') as RunShard['state'],
    attempts: numberOf(row, 'attempts'),
    nextAt: numberOf(row, 'next_at'),
    worker: textOrNull(row, 'worker'),
    error: textOrNull(row, 'error'),
    failedOn: jsonOf<readonly string[]>(row, 'failed_on'),
  }
}
