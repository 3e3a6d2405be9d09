/**
 * Traffic over the pipelines: sources change all the time, runs are asked for again and again, also while
 * one goes on. Ends with sources that stand still and one last good run of each pipeline, after which
 * every table must hold exactly what its source holds.
 */
import type { Catalog } from '../../../catalog/catalog.ts'
import type { Clock } from '../../../lib/ports.ts'
import type { HealedRun, HealedShard, LivenessFacts } from './liveness.ts'
import { PIPELINES, type PipelineName } from './manifest.ts'

export type Requests = {
  /** Runs that were asked for, and attempts that found the catalog away. */
  readonly done: () => { readonly asked: number; readonly failed: number }
  stop(): Promise<void>
}

export type RequestOptions = {
  readonly catalog: Catalog
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
}

const PAUSE_MS_MAX = 3_000
/** Runs of a pipeline that are not over: more would only wait. */
const OPEN_MAX = 3
const LOOK_MS = 200

/** Asks for a run of each pipeline, then for runs by chance until it is stopped. */
export function startRequests({ catalog, clock, random }: RequestOptions): Requests {
  const stopping = new AbortController()
  const count = { asked: 0, failed: 0 }
  const ask = async (pipeline: PipelineName): Promise<void> => {
    const overlap = random() < 0.5 ? 'queue' : 'skip'
    try {
      const open = await catalog.openRuns()
      if (open.filter((run) => run.pipeline === pipeline).length >= OPEN_MAX) return
      await requestRun(catalog, clock, pipeline, overlap)
      count.asked += 1
    } catch {
      // The catalog is away: there will be another time.
      count.failed += 1
    }
  }
  const run = async (): Promise<void> => {
    for (const pipeline of PIPELINES) await ask(pipeline)
    while (!stopping.signal.aborted) {
      await ask(PIPELINES[Math.floor(random() * PIPELINES.length)] ?? 'events')
      await clock.sleep(random() * PAUSE_MS_MAX, stopping.signal).catch(() => undefined)
    }
  }
  const running = run()
  return {
    done: () => count,
    async stop() {
      stopping.abort()
      await running
    },
  }
}

async function requestRun(
  catalog: Catalog,
  clock: Clock,
  pipeline: PipelineName,
  overlap: 'queue' | 'skip',
): Promise<number> {
  const manifest = await catalog.manifest()
  const { runId } = await catalog.requestRun({
    pipeline,
    kind: 'run',
    request: { kind: 'run', fullRefresh: false },
    trigger: 'manual',
    fireKey: null,
    scheduledAt: clock.now(),
    overlap,
    manifestVersion: manifest?.version ?? 0,
    by: 'chaos',
  })
  return runId
}

export type SettleOptions = {
  readonly catalog: Catalog
  readonly clock: Clock
  /** Workers that run now and should be members. */
  readonly up: readonly string[]
  readonly sourceFaults: LivenessFacts['sourceFaults']
  /**
   * Until when everything must be well, asked while that is waited for, since the machine may get slower;
   * waiting goes on for twice that, so that tables can be judged.
   */
  readonly withinMs: () => number
}

/** Once nothing changes any more and all faults are over: the last runs, and how things stand after them. */
export async function settle(options: SettleOptions): Promise<LivenessFacts> {
  const { catalog, clock, up, sourceFaults, withinMs } = options
  const began = clock.monotonic()
  const isLate = (): boolean => clock.monotonic() > began + 2 * withinMs()
  const insist = createInsist(clock, isLate)
  const before = await insist(() => look(catalog, new Map()))
  const quarantined = before.filter(({ quarantine }) => quarantine !== null)
  // What an operator would do; they are judged as they were found.
  for (const { pipeline, shard } of quarantined)
    await insist(() => catalog.quarantineShard({ pipeline, shard }, null))
  const runs = await Promise.all(PIPELINES.map((name) => lastRun(catalog, clock, name, isLate)))
  const members = await membersOf(catalog, clock, up, isLate)
  // A schedule may have begun another run since: what it waits for is not stuck.
  const last = new Map(runs.map(({ pipeline, run }) => [pipeline, run]))
  const after = await insist(() => look(catalog, last))
  return { runs, workers: { up, members }, shards: [...quarantined, ...after], sourceFaults }
}

type Insist = <T>(ask: () => Promise<T>) => Promise<T>

/** Asks again while the catalog's connections are those that the last fault has broken. */
function createInsist(clock: Clock, isLate: () => boolean): Insist {
  return async (ask) => {
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        if (isLate()) throw error
      }
      await clock.sleep(LOOK_MS)
    }
  }
}

async function lastRun(
  catalog: Catalog,
  clock: Clock,
  pipeline: PipelineName,
  isLate: () => boolean,
): Promise<HealedRun> {
  const insist = createInsist(clock, isLate)
  const began = clock.monotonic()
  const run = await insist(() => requestRun(catalog, clock, pipeline, 'queue'))
  for (;;) {
    const row = await insist(() => catalog.run(run))
    const tookMs = clock.monotonic() - began
    if (row && row.endedAt !== null)
      return { pipeline, run, status: row.status, error: row.error, tookMs }
    if (isLate()) return { pipeline, run, status: undefined, error: null, tookMs }
    await clock.sleep(LOOK_MS)
  }
}

/** Who is there, as the planner says; waits for those who should be. */
async function membersOf(
  catalog: Catalog,
  clock: Clock,
  up: readonly string[],
  isLate: () => boolean,
): Promise<readonly string[]> {
  const insist = createInsist(clock, isLate)
  for (;;) {
    const rows = await insist(() => catalog.workers())
    const members = rows.flatMap((row) => (row.isPresent ? [row.name] : []))
    const isSettled = members.length === up.length && up.every((name) => members.includes(name))
    if (isSettled || isLate()) return members
    await clock.sleep(LOOK_MS)
  }
}

/** How shards stand; parts are counted up to a run of their pipeline. */
async function look(
  catalog: Catalog,
  upTo: ReadonlyMap<string, number>,
): Promise<readonly HealedShard[]> {
  const parts = await catalog.pendingShards(PIPELINES)
  const pending = parts.filter(({ pipeline, runId }) => runId <= (upTo.get(pipeline) ?? 0))
  const rows = await catalog.shards()
  return rows.map(({ pipeline, shard, paused, quarantine }) => {
    const own = pending.filter((part) => part.pipeline === pipeline && part.shard === shard)
    return { pipeline, shard, paused, quarantine, pending: own.length }
  })
}
