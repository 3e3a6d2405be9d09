/**
 * The steward of a pipeline takes its runs from start to end: plans a queued one into parts, waits until
 * none is pending, makes staged loads visible, sees to it that all is published, and ends it. Whoever
 * holds the pipeline's `~run` unit does this; each step is one guarded change in the catalog, so a
 * steward that is taken over in the middle leaves the next one a state to go on from.
 *
 *   queued ── planned ──► running ── none pending ──► finishing ── published ──► succeeded | partial |
 *      └─ cannot be planned ─► failed      └─ cancelled: parts are stopped ─►       failed | cancelled
 */
import type { ClusterRun, RunProgress } from '../../catalog/cluster.ts'
import type { RunStatus } from '../../catalog/catalog.ts'
import { unreachable } from '../../lib/assert.ts'
import { operatingError, type HakiriError } from '../../lib/error.ts'
import { quarantineTable } from '../../sink/plan/names.ts'
import { applyRunPlan, planRun, type RunRequest } from '../prepare.ts'
import type { ServeDeps } from './deps.ts'
import { runLoop } from './loop.ts'
import type { ManifestFeed } from './manifest-feed.ts'
import { createPulse } from './pulse.ts'
import type { RunsFeed } from './runs-feed.ts'
import { readPlan, storePlan } from './stored-plan.ts'
import type { Tell } from './teller.ts'
import type { Workshop } from './workshop.ts'

export type Steward = {
  /** Something may have changed. */
  ring(): void
  run(signal: AbortSignal): Promise<void>
}

const PLAN_ATTEMPTS_MAX = 5

export function createSteward(
  pipeline: string,
  deps: ServeDeps,
  feed: ManifestFeed,
  runs: RunsFeed,
  workshop: Workshop,
  tell: Tell,
): Steward {
  const { catalog, clock, random, logger } = deps
  const pulse = createPulse(clock)
  let mine: { readonly id: number; readonly epoch: number } | undefined
  let attempts = 0
  /** The run that this steward ended last. */
  let over: number | undefined

  async function step(signal: AbortSignal): Promise<void> {
    const first = runs.current().find((run) => run.pipeline === pipeline)
    if (!first || first.id === over) return
    // The list may be behind: an older epoch in it is one that this steward has raised since.
    if (mine?.id !== first.id || first.epoch > mine.epoch) {
      const taken = await catalog.takeRun(first.id, deps.identity.name)
      mine = taken && { id: taken.id, epoch: taken.epoch }
      attempts = 0
    }
    if (mine) await advance(first, mine.epoch, signal)
    else over = first.id
  }

  async function advance(run: ClusterRun, epoch: number, signal: AbortSignal): Promise<void> {
    switch (run.status) {
      case 'queued':
        return plan(run, epoch, signal)
      case 'running':
        return closeWhenDone(run, epoch)
      case 'finishing':
        return finish(run, epoch)
      case 'succeeded':
      case 'partial':
      case 'failed':
      case 'cancelled':
      case 'lost':
      case 'skipped':
        return undefined
      default:
        return unreachable(run.status)
    }
  }

  async function plan(run: ClusterRun, epoch: number, signal: AbortSignal): Promise<void> {
    try {
      await planAndStart(run, epoch, signal)
    } catch (error) {
      if (signal.aborted) throw error
      const failure = operatingError(error, 'SOURCE_FATAL', pipeline)
      // A catalog that is away says nothing about the source.
      if (failure.code.startsWith('CATALOG_')) throw failure
      attempts += 1
      const isCurable = failure.retry === 'transient' || failure.retry === 'rate'
      if (isCurable && attempts < PLAN_ATTEMPTS_MAX) throw failure
      await failRun(run, epoch, failure)
    }
  }

  async function planAndStart(run: ClusterRun, epoch: number, signal: AbortSignal): Promise<void> {
    const active = feed.current()
    const config = active?.manifest.pipelines[pipeline]
    if (!active || !config) return
    const connector = await workshop.connector(config)
    const host = workshop.connectorHost(active.manifest, config)
    const context = host(signal, () => undefined, 1e6)
    const request = requestOf(run)
    const runPlan = await planRun(config, request, connector, context, catalog)
    const tables = await applyRunPlan(runPlan, catalog)
    const held = new Map((await catalog.plannedShards([pipeline])).map((row) => [row.shard, row]))
    const parts = runPlan.shards.filter(({ shard }) => {
      const row = held.get(shard.id)
      return row !== undefined && !row.paused && row.quarantine === null
    })
    const left = runPlan.shards.length - parts.length
    const started = await catalog.startRun(
      run.id,
      epoch,
      storePlan(runPlan, tables),
      parts.map(({ shard, table }) => ({ shard: shard.id, table })),
    )
    if (!started) return
    runs.ring()
    logger.log('info', 'a run began', { pipeline, run: run.id, shards: parts.length, left })
    const warnings = [
      ...runPlan.warnings,
      ...(left > 0 ? [`${left} shards are paused or quarantined and were left out`] : []),
    ]
    tell('info', 'run-started', `${parts.length} shards`, { runId: run.id, pipeline })
    for (const warning of warnings)
      tell('warn', 'run-warning', warning, { runId: run.id, pipeline })
  }

  async function closeWhenDone(run: ClusterRun, epoch: number): Promise<void> {
    if (await catalog.closeRun(run.id, epoch)) runs.ring()
  }

  /** Ends the run once nothing of it waits to be published; publishers are woken by the status. */
  async function finish(run: ClusterRun, epoch: number): Promise<void> {
    const { tables } = readPlan(run.id, run.plan)
    for (const { table, staged } of tables) {
      if (staged) await catalog.sealGeneration(table)
      for (const name of [table, quarantineTable(table)]) if (!(await isPublished(name))) return
    }
    if (run.kind === 'backfill') await dropBackfill(run)
    const progress = await catalog.runProgress(run.id)
    const status = statusOf(progress, run.isCancelled)
    const error = status === 'succeeded' ? null : await firstError(run)
    const end = { status, shardsDone: progress.done, shardsFailed: progress.failed, error }
    if (!(await catalog.endRun(run.id, epoch, end))) return
    over = run.id
    logger.log(status === 'succeeded' ? 'info' : 'warn', 'a run ended', {
      pipeline,
      run: run.id,
      status,
      ...progress,
    })
    tell(status === 'succeeded' ? 'info' : 'error', 'run-ended', error ?? status, {
      runId: run.id,
      pipeline,
    })
  }

  async function isPublished(table: string): Promise<boolean> {
    if (!(await catalog.table(table))) return true
    return !(await catalog.hasPending(table)) && (await catalog.unpublished(table)).length === 0
  }

  async function dropBackfill(run: ClusterRun): Promise<void> {
    const done = await catalog.runShards(run.id, { state: 'done' })
    await catalog.dropShards(
      pipeline,
      done.map((part) => part.shard),
    )
  }

  async function firstError(run: ClusterRun): Promise<string | null> {
    const [failed] = await catalog.runShards(run.id, { state: 'failed', limit: 1 })
    return failed?.error ?? null
  }

  async function failRun(run: ClusterRun, epoch: number, failure: HakiriError): Promise<void> {
    const error = `${failure.code}: ${failure.message}`
    const end = { status: 'failed', shardsDone: 0, shardsFailed: 0, error } as const
    if (!(await catalog.endRun(run.id, epoch, end))) return
    logger.log('error', 'a run could not be planned', { pipeline, run: run.id, error })
    tell('error', 'run-ended', error, { runId: run.id, pipeline })
  }

  return {
    ring: () => pulse.ring(),
    run: (signal) =>
      runLoop(
        {
          name: `the steward of ${pipeline}`,
          pulse,
          intervalMs: deps.settings.pollMs,
          clock,
          random,
          logger,
          step,
        },
        signal,
      ),
  }
}

/** The catalog keeps requests as JSON, where an absent shard is no key. */
function requestOf(run: ClusterRun): RunRequest {
  const request = run.request as { readonly [key: string]: unknown }
  if (request['kind'] === 'backfill')
    return { kind: 'backfill', from: String(request['from']), to: String(request['to']) }
  const shard = typeof request['shard'] === 'string' ? request['shard'] : undefined
  return { kind: 'run', fullRefresh: request['fullRefresh'] === true, shard }
}

function statusOf({ done, failed, stopped }: RunProgress, isCancelled: boolean): RunStatus {
  if (isCancelled) return 'cancelled'
  if (failed + stopped === 0) return 'succeeded'
  return done > 0 ? 'partial' : failed > 0 ? 'failed' : 'cancelled'
}
