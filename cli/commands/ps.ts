/** `hakiri ps`: runs that are not over, how far each is, and where. */
import type { Catalog, RunRow } from '../../catalog/catalog.ts'
import type { RunProgress } from '../../catalog/cluster.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { isOpen } from '../../worker/operate.ts'
import { viewShards, type ShardView } from '../../worker/shard-view.ts'
import { openClusterCatalog } from '../cluster.ts'
import type { CommandRun } from '../command.ts'
import { markLostRuns } from '../lost-runs.ts'
import { formatTable } from '../output.ts'
import { ago } from '../time.ts'

/** Runs of single processes are looked for among this many of the newest. */
const LOCAL_RUNS_MAX = 100

type OpenRun = {
  readonly run: RunRow
  readonly progress: RunProgress
  /** Worker → parts that it has to do. */
  readonly where: ReadonlyMap<string, number>
}

export const ps: CommandRun = async ({ globals }, io) => {
  await using catalog = await openClusterCatalog(globals, io)
  await markLostRuns(catalog)
  const found = await openRuns(catalog)
  return {
    result: found.map(({ run, progress, where }) => ({
      run: run.id,
      pipeline: run.pipeline,
      kind: run.kind,
      status: run.status,
      steward: run.worker,
      startedAt: run.startedAt,
      ...progress,
      where: Object.fromEntries(where),
    })),
    summary:
      found.length === 0
        ? 'no run is at work; next: hakiri runs'
        : `${found.length} run(s); next: hakiri runs show ${found[0]?.run.id}`,
    text:
      found.length === 0
        ? ''
        : formatTable(
            ['run', 'pipeline', 'kind', 'status', 'started', 'done', 'failed', 'to do', 'where'],
            found.map(({ run, progress, where }) => [
              run.id,
              run.pipeline,
              run.kind,
              run.status,
              ago(run.startedAt),
              progress.done,
              progress.failed,
              progress.pending,
              [...where].map(([worker, parts]) => `${worker} ${parts}`).join(', '),
            ]),
          ),
  }
}

async function openRuns(catalog: Catalog): Promise<readonly OpenRun[]> {
  const shared = await catalog.openRuns()
  const known = new Set(shared.map(({ id }) => id))
  const local = (await catalog.runs({ limit: LOCAL_RUNS_MAX })).filter(
    (run) => isOpen(run) && !known.has(run.id),
  )
  const parts = shared.length > 0 ? await viewShards(catalog, {}, systemClock.now()) : []
  const ofCluster = await Promise.all(
    shared.map(async (run) => ({
      run,
      progress: await catalog.runProgress(run.id),
      where: countWhere(parts.filter(({ part }) => part?.runId === run.id)),
    })),
  )
  return [...ofCluster, ...local.map(ofOneProcess)]
}

function ofOneProcess(run: RunRow): OpenRun {
  const pending = run.shardsTotal - run.shardsDone - run.shardsFailed
  return {
    run,
    progress: { pending, done: run.shardsDone, failed: run.shardsFailed, stopped: 0 },
    where: new Map([[run.worker, pending]]),
  }
}

function countWhere(views: readonly ShardView[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { placement } of views) {
    const worker = placement?.worker ?? 'nobody'
    counts.set(worker, (counts.get(worker) ?? 0) + 1)
  }
  return new Map([...counts].toSorted((a, b) => b[1] - a[1]))
}
