/**
 * Runs of the cluster: asked for once, looked after by one steward at a time, ended once.
 *
 * Every step of a steward is guarded by the run's epoch, taken while the run's row is held. Runs of one
 * process (runs.ts) have no trigger and are left alone here.
 */
import type {
  ClusterCatalog,
  ClusterRun,
  NewClusterRun,
  NewRunShard,
  RunAdmission,
} from './cluster.ts'
import type { Json } from '../lib/json.ts'
import type { RunStatus } from './rows.ts'
import { hasPendingPart, insertParts, lockStarts } from './run-parts.ts'
import { SELECT_RUN, toRun, writeEndOfRun } from './runs.ts'
import {
  booleanOf,
  type CatalogDeps,
  type Engine,
  jsonOf,
  jsonText,
  numberOf,
  type Row,
  type Sql,
  textOf,
} from './sql.ts'

type ClusterRunMethods = Pick<
  ClusterCatalog,
  | 'requestRun'
  | 'lastScheduled'
  | 'openRuns'
  | 'takeRun'
  | 'startRun'
  | 'closeRun'
  | 'endRun'
  | 'cancelRun'
>

const IS_OPEN = `trigger_kind is not null and status in ('queued', 'running', 'finishing')`

export function clusterRunMethods(engine: Engine, deps: CatalogDeps): ClusterRunMethods {
  return {
    requestRun: (run) => engine.write((sql) => request(sql, deps, run)),
    lastScheduled: () =>
      engine.read(async (sql) => {
        const text = 'select * from schedule where scheduled_at is not null'
        return new Map(
          (await sql.rows(text)).map((row) => [
            textOf(row, 'pipeline'),
            numberOf(row, 'scheduled_at'),
          ]),
        )
      }),
    openRuns: () =>
      engine.read(async (sql) =>
        (await sql.rows(`${SELECT_RUN} where ${IS_OPEN} order by id`)).map(toClusterRun),
      ),
    takeRun: (runId, worker) => engine.write((sql) => take(sql, runId, worker)),
    startRun: (runId, epoch, plan, shards) =>
      engine.write((sql) => start(sql, deps, { runId, epoch, plan, shards })),
    closeRun: (runId, epoch) => engine.write((sql) => close(sql, runId, epoch)),
    endRun: (runId, epoch, end) =>
      engine.write(async (sql) => {
        const run = await lockRun(sql, runId, epoch)
        if (!run) return false
        await endOpenRun(sql, deps, runId, end)
        return true
      }),
    cancelRun: (runId) => engine.write((sql) => cancel(sql, deps, runId)),
  }
}

// ── Asking for a run ──────────────────────────────────────────────────────────────────────────────

async function request(sql: Sql, deps: CatalogDeps, run: NewClusterRun): Promise<RunAdmission> {
  await holdPipeline(sql, run.pipeline)
  const known = await findByFireKey(sql, run.fireKey)
  if (known !== undefined) return { kind: 'known', runId: known }
  const skipped = run.overlap === 'skip' && (await hasOpenRun(sql, run.pipeline))
  const runId = await insertRun(sql, deps, run, skipped ? 'skipped' : 'queued')
  if (run.trigger === 'schedule') {
    await sql.run(
      `update schedule set scheduled_at = ?
       where pipeline = ? and (scheduled_at is null or scheduled_at < ?)`,
      run.scheduledAt,
      run.pipeline,
      run.scheduledAt,
    )
  }
  sql.wake('runs')
  return { kind: skipped ? 'skipped' : 'created', runId }
}

/** Those who ask for runs of the pipeline take turns. */
async function holdPipeline(sql: Sql, pipeline: string): Promise<void> {
  await sql.run(
    `insert into schedule (pipeline) values (?)
     on conflict (pipeline) do update set pipeline = excluded.pipeline`,
    pipeline,
  )
}

async function findByFireKey(sql: Sql, fireKey: string | null): Promise<number | undefined> {
  if (fireKey === null) return undefined
  const [row] = await sql.rows('select id from run where fire_key = ?', fireKey)
  return row && numberOf(row, 'id')
}

async function hasOpenRun(sql: Sql, pipeline: string): Promise<boolean> {
  const text = `select 1 from run where pipeline = ? and ${IS_OPEN} limit 1`
  return (await sql.rows(text, pipeline)).length > 0
}

async function insertRun(
  sql: Sql,
  deps: CatalogDeps,
  run: NewClusterRun,
  status: RunStatus & ('queued' | 'skipped'),
): Promise<number> {
  const now = deps.clock.now()
  const [row] = await sql.rows(
    `insert into run (pipeline, kind, status, worker, started_at, ended_at, shards_total,
       trigger_kind, request, scheduled_at, manifest_version, requested_by, fire_key)
     values (?, ?, ?, '', ?, ?, 0, ?, ?, ?, ?, ?, ?) returning id`,
    run.pipeline,
    run.kind,
    status,
    now,
    status === 'skipped' ? now : null,
    run.trigger,
    jsonText(run.request),
    run.scheduledAt,
    run.manifestVersion,
    run.by,
    run.fireKey,
  )
  return numberOf(row!, 'id')
}

// ── The steward ───────────────────────────────────────────────────────────────────────────────────

async function take(sql: Sql, runId: number, worker: string): Promise<ClusterRun | undefined> {
  const taken = await sql.run(
    `update run set epoch = epoch + 1, worker = ? where id = ? and ${IS_OPEN}`,
    worker,
    runId,
  )
  if (taken === 0) return undefined
  const [row] = await sql.rows(`${SELECT_RUN} where id = ?`, runId)
  return toClusterRun(row!)
}

/** Holds the run when it is open and this epoch is its steward's. */
async function lockRun(sql: Sql, runId: number, epoch: number): Promise<Row | undefined> {
  const [row] = await sql.rows(
    `select * from run where id = ? and epoch = ? and ${IS_OPEN} ${sql.lock('no key update')}`,
    runId,
    epoch,
  )
  return row
}

type Start = {
  readonly runId: number
  readonly epoch: number
  readonly plan: Json
  readonly shards: readonly NewRunShard[]
}

async function start(sql: Sql, deps: CatalogDeps, request: Start): Promise<boolean> {
  const { runId, epoch, plan, shards } = request
  const [asked] = await sql.rows('select pipeline from run where id = ?', runId)
  if (!asked) return false
  await lockStarts(sql, textOf(asked, 'pipeline'))
  const run = await lockRun(sql, runId, epoch)
  if (run?.['status'] !== 'queued') return false
  await sql.run(
    `update run set status = 'running', run_plan = ?, shards_total = ?, started_at = ?
     where id = ?`,
    jsonText(plan),
    shards.length,
    deps.clock.now(),
    runId,
  )
  await insertParts(sql, { id: runId, pipeline: textOf(run, 'pipeline') }, shards)
  sql.wake('runs')
  return true
}

async function close(sql: Sql, runId: number, epoch: number): Promise<boolean> {
  const run = await lockRun(sql, runId, epoch)
  if (run?.['status'] !== 'running') return false
  if (await hasPendingPart(sql, runId)) return false
  await sql.run(`update run set status = 'finishing' where id = ?`, runId)
  sql.wake('runs')
  return true
}

async function endOpenRun(
  sql: Sql,
  deps: CatalogDeps,
  runId: number,
  end: Parameters<ClusterCatalog['endRun']>[2],
): Promise<void> {
  await writeEndOfRun(sql, deps, runId, end)
  await stopPending(sql, runId)
  sql.wake('runs')
}

/** Nobody takes them up any more; who is at work on one finds that it is over. */
async function stopPending(sql: Sql, runId: number): Promise<void> {
  const text = `update run_shard set state = 'stopped' where run_id = ? and state = 'pending'`
  await sql.run(text, runId)
}

async function cancel(
  sql: Sql,
  deps: CatalogDeps,
  runId: number,
): ReturnType<ClusterCatalog['cancelRun']> {
  const [run] = await sql.rows(
    `select * from run where id = ? and trigger_kind is not null ${sql.lock('no key update')}`,
    runId,
  )
  if (!run) return 'unknown'
  switch (textOf(run, 'status') as RunStatus) {
    case 'queued': {
      const none = { shardsDone: 0, shardsFailed: 0, error: null }
      await endOpenRun(sql, deps, runId, { ...none, status: 'cancelled' })
      await sql.run('update run set is_cancelled = true where id = ?', runId)
      return 'cancelled'
    }
    case 'running':
    case 'finishing':
      await sql.run('update run set is_cancelled = true where id = ?', runId)
      await stopPending(sql, runId)
      sql.wake('runs')
      return 'asked'
    case 'succeeded':
    case 'partial':
    case 'failed':
    case 'cancelled':
    case 'lost':
    case 'skipped':
      return 'over'
  }
}

function toClusterRun(row: Row): ClusterRun {
  return {
    ...toRun(row),
    trigger: textOf(row, 'trigger_kind') as ClusterRun['trigger'],
    request: jsonOf(row, 'request'),
    plan: jsonOf(row, 'run_plan'),
    epoch: numberOf(row, 'epoch'),
    scheduledAt: numberOf(row, 'scheduled_at'),
    manifestVersion: numberOf(row, 'manifest_version'),
    isCancelled: booleanOf(row, 'is_cancelled'),
  }
}
