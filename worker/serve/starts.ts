/**
 * Asks the catalog for the starts that schedules are due for; its key makes each happen once. Also ends
 * the runs of pipelines that the manifest no longer has: nobody else would.
 */
import type { ClusterRun } from '../../catalog/cluster.ts'
import { dueStart, type DueStart } from './schedule.ts'
import type { ServeDeps } from './deps.ts'
import type { ActiveManifest } from './manifest-feed.ts'

const REQUEST = { kind: 'run', fullRefresh: false } as const

export type Starts = { request(active: ActiveManifest): Promise<void> }

export function createStarts(deps: ServeDeps): Starts {
  const { catalog, clock, host } = deps
  /** Nominal times that were asked for, as far as this planner knows: never ahead of the catalog. */
  let last: ReadonlyMap<string, number> | undefined

  function dueIn({ appliedAt, manifest }: ActiveManifest): ReadonlyMap<string, DueStart> {
    const due = new Map<string, DueStart>()
    for (const { name: pipeline, schedule } of Object.values(manifest.pipelines)) {
      const start =
        schedule &&
        dueStart({
          pipeline,
          schedule,
          last: last?.get(pipeline),
          since: appliedAt,
          now: clock.now(),
          newest: host.newestCron,
        })
      if (start) due.set(pipeline, start)
    }
    return due
  }

  return {
    async request(active) {
      if (last !== undefined && dueIn(active).size === 0) return
      last = await catalog.lastScheduled()
      for (const [pipeline, start] of dueIn(active)) await ask(pipeline, start, active, deps)
      last = await catalog.lastScheduled()
    },
  }
}

async function ask(
  pipeline: string,
  { at, fireKey }: DueStart,
  { version, manifest }: ActiveManifest,
  { catalog, identity, logger }: ServeDeps,
): Promise<void> {
  const admission = await catalog.requestRun({
    pipeline,
    kind: 'run',
    request: REQUEST,
    trigger: 'schedule',
    fireKey,
    scheduledAt: at,
    overlap: manifest.pipelines[pipeline]?.schedule?.overlap ?? 'skip',
    manifestVersion: version,
    by: identity.name,
  })
  const { kind: outcome, runId: run } = admission
  logger.log('info', 'a scheduled run was asked for', { pipeline, start: fireKey, outcome, run })
}

export async function endOrphans(
  runs: readonly ClusterRun[],
  { manifest }: ActiveManifest,
  { catalog, identity, logger }: ServeDeps,
): Promise<void> {
  for (const { id, pipeline } of runs) {
    if (manifest.pipelines[pipeline]) continue
    await catalog.cancelRun(id)
    const taken = await catalog.takeRun(id, identity.name)
    if (!taken) continue
    const { done, failed } = await catalog.runProgress(id)
    const error = `the manifest has no pipeline ${pipeline} any more`
    const end = { status: 'cancelled', shardsDone: done, shardsFailed: failed, error } as const
    if (await catalog.endRun(id, taken.epoch, end))
      logger.log('warn', `a run was ended: ${error}`, { run: id, pipeline })
  }
}
