/** One run of one pipeline, from plan to published tables. */
import type {
  Counters,
  RunEvent,
  RunKind,
  RunRow,
  RunStatus,
  TableRow,
} from '../catalog/catalog.ts'
import type { Connector } from '../connector/connector.ts'
import { HakiriError, operatingError } from '../lib/error.ts'
import type { Destination, Pipeline } from '../manifest/manifest.ts'
import type { ConnectorHost, ShardJob, ShardResult, WorkerDeps } from './deps.ts'
import { planMemory } from './memory.ts'
import { applyRunPlan, planRun, type RunPlan, type RunRequest, type ShardPlan } from './prepare.ts'
import { publishTable } from './publisher.ts'
import { runAll } from './scheduler.ts'
import { runShard } from './shard-runner.ts'
import { createPublishTimer } from './publish-timer.ts'
import { quarantineTable } from '../sink/plan/names.ts'

export type PipelineJob = {
  readonly pipeline: Pipeline
  readonly destination: Destination
  readonly connector: Connector
  readonly host: ConnectorHost
  readonly request: RunRequest
  /** Bytes at which the encoder works best. */
  readonly batchBytesMax: number
}

export type RunSummary = {
  readonly runId: number
  readonly pipeline: string
  readonly status: RunStatus
  readonly counters: Counters
  readonly shards: readonly ShardResult[]
  /** What kept committed rows from being published; they stay and go out with a later run. */
  readonly failure: HakiriError | undefined
  readonly tables: readonly {
    readonly table: string
    readonly version: number | undefined
    readonly newColumns: readonly string[]
  }[]
  readonly durationMs: number
  readonly warnings: readonly string[]
}

/** Plans, runs and publishes. A failing shard does not stop the others; the summary tells. */
export async function runPipeline(
  job: PipelineJob,
  deps: WorkerDeps,
  stop: AbortSignal,
): Promise<RunSummary> {
  const startedAt = deps.clock.monotonic()
  const context = job.host(stop, () => undefined, 1e6)
  const plan = await planRun(job.pipeline, job.request, job.connector, context, deps.catalog)
  const tables = await applyRunPlan(plan, deps.catalog)
  const runId = await deps.catalog.createRun({
    pipeline: job.pipeline.name,
    kind: runKind(job.request),
    worker: deps.worker,
    shardsTotal: plan.shards.length,
  })
  deps.onProgress({
    kind: 'run',
    runId,
    pipeline: job.pipeline.name,
    shards: plan.shards.length,
    rowsEstimate: estimate(plan),
  })
  const revisions = new Map([...tables].map(([name, row]) => [name, row.schemaRevision]))
  const results = await runShards(job, plan, tables, runId, deps, stop)
  const failure = await finish(plan, results, deps)
  const run = await endRun(runId, results, failure, deps)
  return {
    runId,
    pipeline: job.pipeline.name,
    status: run.status,
    counters: run.counters,
    shards: results,
    failure,
    tables: await tableSummaries(revisions, deps),
    durationMs: deps.clock.monotonic() - startedAt,
    warnings: plan.warnings,
  }
}

function runKind(request: RunRequest): RunKind {
  if (request.kind === 'backfill') return 'backfill'
  return request.fullRefresh ? 'full-refresh' : 'run'
}

function estimate(plan: RunPlan): number | undefined {
  const parts = plan.shards.map(({ shard }) => shard.rowsEstimate)
  return parts.includes(undefined)
    ? undefined
    : parts.reduce<number>((sum, rows) => sum + (rows ?? 0), 0)
}

async function runShards(
  job: PipelineJob,
  plan: RunPlan,
  tables: ReadonlyMap<string, TableRow>,
  runId: number,
  deps: WorkerDeps,
  stop: AbortSignal,
): Promise<readonly ShardResult[]> {
  const concurrency = Math.max(1, Math.min(job.pipeline.limits.concurrency, plan.shards.length))
  await using timer = createPublishTimer(
    [...tables.keys()],
    job.destination.publishIntervalMs,
    deps,
  )
  const tasks = plan.shards.map((shard) => async () => {
    const result = await runShard(
      shardJob(job, plan, shard, tables, runId, concurrency),
      timer.observe(deps),
      stop,
    )
    await recordResult(result, runId, deps)
    return result
  })
  return await runAll(tasks, concurrency)
}

function shardJob(
  job: PipelineJob,
  plan: RunPlan,
  { shard, table }: ShardPlan,
  tables: ReadonlyMap<string, TableRow>,
  runId: number,
  concurrency: number,
): ShardJob {
  const row = tables.get(table)
  const target = plan.tables.find((candidate) => candidate.target.name === table)
  if (!row || !target)
    throw new HakiriError('NOT_FOUND', `shard ${shard.id} feeds the unknown table ${table}`)
  const memory = planMemory(job.pipeline.memoryBytes, concurrency, job.batchBytesMax)
  return {
    pipeline: job.pipeline,
    connector: job.connector,
    runId,
    shard: { id: shard.id, sourceTable: shard.table, spec: shard.spec },
    table,
    generation: target.staged && row.staging !== null ? row.staging : row.generation,
    mode: target.mode,
    isStaged: target.staged,
    sourceKey: target.sourceKey,
    batchBytes: memory.batchBytes,
    chunkBytes: memory.chunkBytes,
    openMsMax: job.destination.files.openMsMax,
    connectorContext: job.host,
  }
}

/** Events are for people: a catalog that is away must not end the other shards for the lack of one. */
async function recordResult(result: ShardResult, runId: number, deps: WorkerDeps): Promise<void> {
  const failed = result.outcome === 'failed' || result.outcome === 'fenced'
  const event: RunEvent = {
    runId,
    at: deps.clock.now(),
    level: failed ? 'error' : 'info',
    shard: result.shard,
    kind: `shard-${result.outcome}`,
    message: result.error ? `${result.error.code}: ${result.error.message}` : `${result.rows} rows`,
    data: null,
  }
  await deps.catalog
    .addEvents([event])
    .catch((error: unknown) => deps.logger.log('warn', `an event is lost: ${String(error)}`))
}

/** Makes staged loads visible when they are whole, drops finished backfill shards, publishes. */
async function finish(
  plan: RunPlan,
  results: readonly ShardResult[],
  deps: WorkerDeps,
): Promise<HakiriError | undefined> {
  try {
    for (const table of plan.tables) {
      if (table.staged) await deps.catalog.sealGeneration(table.target.name)
      await publishTable(table.target.name, deps)
      await publishTable(quarantineTable(table.target.name), deps)
    }
    if (plan.request.kind === 'backfill') {
      const done = results
        .filter((result) => result.outcome === 'done')
        .map((result) => result.shard)
      await deps.catalog.dropShards(plan.pipeline.name, done)
    }
    return undefined
  } catch (error) {
    return operatingError(error, 'STORE_UNREACHABLE', 'publishing')
  }
}

async function endRun(
  runId: number,
  results: readonly ShardResult[],
  failure: HakiriError | undefined,
  deps: WorkerDeps,
): Promise<RunRow> {
  const done = results.filter((result) => result.outcome === 'done').length
  const failed = results.filter(
    (result) => result.outcome === 'failed' || result.outcome === 'fenced',
  ).length
  const error = failure ?? results.find((result) => result.error)?.error
  await deps.catalog.finishRun(runId, {
    status: statusOf(results.length, done, failed, failure),
    shardsDone: done,
    shardsFailed: failed,
    error: error ? `${error.code}: ${error.message}` : null,
  })
  const run = await deps.catalog.run(runId)
  if (!run) throw new HakiriError('NOT_FOUND', `run ${runId} vanished from the catalog`)
  return run
}

function statusOf(
  total: number,
  done: number,
  failed: number,
  failure: HakiriError | undefined,
): RunStatus {
  if (failure) return 'failed'
  if (failed > 0) return done > 0 ? 'partial' : 'failed'
  return done === total ? 'succeeded' : 'cancelled'
}

async function tableSummaries(
  revisions: ReadonlyMap<string, number>,
  deps: WorkerDeps,
): Promise<RunSummary['tables']> {
  const summaries: RunSummary['tables'][number][] = []
  for (const [name, revision] of revisions) {
    const row = await deps.catalog.table(name)
    const changes = (await deps.catalog.schemaRevisions(name)).filter(
      (entry) => entry.revision > revision,
    )
    summaries.push({
      table: name,
      version: row && row.nextVersion > 0 ? row.nextVersion - 1 : undefined,
      newColumns: revision === 0 ? [] : changes.flatMap((entry) => entry.changes),
    })
  }
  return summaries
}
