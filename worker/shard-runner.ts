/** Drives one shard through the states of run.ts: performs each effect and feeds back what came of it. */
import { assert, unreachable } from '../lib/assert.ts'
import { backoffMs } from '../lib/backoff.ts'
import { operatingError, type HakiriError } from '../lib/error.ts'
import type { ShardRow } from '../catalog/catalog.ts'
import { acquireOne, keyOf, startOf } from './acquire.ts'
import { createCommitter, type Committer } from './committer.ts'
import type { ShardJob, ShardResult, WorkerDeps } from './deps.ts'
import {
  INITIAL,
  isFinal,
  transition,
  type ShardEffect,
  type ShardEvent,
  type ShardState,
} from './run.ts'
import { createReading, type Reading } from './reading.ts'

/** Runs the shard to an end of one kind or another; never throws for an operating condition. */
export async function runShard(
  job: ShardJob,
  deps: WorkerDeps,
  stop: AbortSignal,
): Promise<ShardResult> {
  const driver = createDriver(job, deps, stop)
  let state: ShardState = INITIAL
  const pending: ShardEvent[] = [{ kind: stop.aborted ? 'stop' : 'start' }]
  const step = (event: ShardEvent): readonly ShardEffect[] => {
    const next = transition(state, event, { retriesMax: job.pipeline.retries.retriesMax })
    if (next.state.kind !== state.kind) report(job, deps, next.state)
    state = next.state
    return next.effects
  }
  while (pending.length > 0) {
    const event = pending.shift()
    assert(event, 'the queue of events was checked')
    for (const effect of step(event)) {
      const outcome = await driver.perform(effect, (committed) => void step(committed))
      if (outcome) pending.push(outcome)
    }
  }
  assert(isFinal(state), `shard ${job.shard.id} ended in state ${state.kind}`)
  return {
    shard: job.shard.id,
    outcome: outcomeOf(state),
    error: state.kind === 'failed' ? state.error : driver.fencedBy,
    rows: driver.rows,
    epoch: driver.epoch,
    isRecorded: state.kind === 'done' && driver.isRecorded,
  }
}

function outcomeOf(state: ShardState): ShardResult['outcome'] {
  if (state.kind === 'done' || state.kind === 'stopped' || state.kind === 'fenced')
    return state.kind
  return 'failed'
}

function report(job: ShardJob, deps: WorkerDeps, state: ShardState): void {
  const detail =
    state.kind === 'backoff' || state.kind === 'failed' ? state.error.message : undefined
  deps.onProgress({
    kind: 'shard',
    shard: job.shard.id,
    state: state.kind,
    ...(detail === undefined ? {} : { detail }),
  })
}

type Driver = {
  perform(
    effect: ShardEffect,
    onCommit: (event: ShardEvent) => void,
  ): Promise<ShardEvent | undefined>
  readonly rows: number
  readonly fencedBy: HakiriError | undefined
  readonly epoch: number | undefined
  readonly isRecorded: boolean
}

function createDriver(job: ShardJob, deps: WorkerDeps, stop: AbortSignal): Driver {
  let committer: Committer | undefined
  let reading: Reading | undefined
  let rows = 0
  let fencedBy: HakiriError | undefined
  let isLoaded = false
  let isRecorded = false
  /** As it was first acquired, and last. */
  let first: ShardRow | undefined
  let held: ShardRow | undefined
  const key = keyOf(job)

  async function acquire(onCommit: () => void): Promise<ShardEvent> {
    const row = await acquireOne(job, held?.epoch ?? job.hold?.ifEpoch, deps)
    held = row
    first ??= row
    committer = createCommitter(job, row, deps, onCommit)
    // State belongs to a generation, so a load from scratch starts without ETags that would hide rows.
    const state = await deps.catalog.shardState(key)
    const start = startOf(job, row, first)
    isLoaded = start.kind === 'loaded'
    const cursor = start.kind === 'loaded' ? row.cursor : start.cursor
    reading = createReading(job, deps, committer, { cursor, state }, stop)
    return { kind: 'acquired' }
  }

  async function drop(): Promise<void> {
    await reading?.discard()
    await committer?.finish(false).catch(() => undefined)
    rows += committer?.rowsCommitted ?? 0
    reading = committer = undefined
  }

  async function flush(complete: boolean): Promise<ShardEvent> {
    assert(reading && committer, 'a flush follows a read')
    await reading.flush(complete)
    await committer.finish(complete)
    rows += committer.rowsCommitted
    isRecorded = committer.isRecorded
    reading = committer = undefined
    return { kind: 'flushed' }
  }

  async function wait(attempt: number, error: HakiriError): Promise<ShardEvent> {
    const waitMs = Math.max(
      backoffMs(job.pipeline.retries, attempt, deps.random),
      error.retryAfterMs ?? 0,
    )
    deps.logger.log('warn', `retrying after a failure: ${error.message}`, {
      ...key,
      attempt,
      waitMs,
      code: error.code,
    })
    await deps.catalog.addCounters(job.runId, { retries: 1 }).catch(() => undefined)
    const slept = await deps.clock.sleep(waitMs, stop).then(
      () => true,
      () => false,
    )
    return { kind: slept ? 'timer' : 'stop' }
  }

  async function attempt(
    effect: ShardEffect,
    onCommit: () => void,
  ): Promise<ShardEvent | undefined> {
    switch (effect.kind) {
      case 'acquire':
        return acquire(onCommit)
      case 'read':
        assert(reading, 'a read follows an acquire')
        return { kind: isLoaded ? 'ended' : await reading.run() }
      case 'flush':
        return flush(effect.complete)
      case 'wait':
        return wait(effect.attempt, effect.error)
      case 'drop':
        await drop()
        return undefined
      default:
        return unreachable(effect)
    }
  }

  return {
    async perform(effect, onCommit) {
      try {
        return await attempt(effect, () => onCommit({ kind: 'committed' }))
      } catch (error) {
        const failure = operatingError(error, 'SOURCE_FATAL', `${key.pipeline}/${key.shard}`)
        if (failure.code === 'FENCED') fencedBy = failure
        return failure.code === 'FENCED' ? { kind: 'fenced' } : { kind: 'failed', error: failure }
      }
    },
    get rows() {
      return rows
    },
    get fencedBy() {
      return fencedBy
    },
    get epoch() {
      return held?.epoch
    },
    get isRecorded() {
      return isRecorded
    },
  }
}
