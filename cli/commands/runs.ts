/** `hakiri runs`, `runs show`, `runs logs`: what happened. */
import type { Catalog, RunRow } from '../../catalog/catalog.ts'
import type { ClusterEvent, RunProgress, RunShard } from '../../catalog/cluster.ts'
import type { Json } from '../../lib/json.ts'
import { formatBytes, formatDuration } from '../../lib/units.ts'
import { cancelRun, unknownRun } from '../../worker/operate.ts'
import { openClusterCatalog, operatorOf } from '../cluster.ts'
import type { CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { markLostRuns } from '../lost-runs.ts'
import { openProject } from '../project.ts'
import { wholeNumber } from '../arguments.ts'
import { ago, isoTime } from '../time.ts'

export const runs: CommandRun = async ({ args, options, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  await markLostRuns(catalog)
  const pipeline = args[0] as string | undefined
  const limit = wholeNumber(String(options['limit'] ?? '20'), '--limit')
  const found = await catalog.runs({ ...(pipeline === undefined ? {} : { pipeline }), limit })
  // A pipeline that has left the configuration may still have runs; any other name is a slip.
  if (pipeline !== undefined && found.length === 0) project.pipelines([pipeline])
  return {
    result: found.map(runJson),
    summary:
      found.length === 0
        ? 'no runs yet; next: hakiri run'
        : `${found.length} run(s); next: hakiri runs show ${found[0]?.id}`,
    text: formatTable(
      ['run', 'pipeline', 'kind', 'status', 'started', 'took', 'rows', 'written', 'error'],
      found.map((run) => [
        run.id,
        run.pipeline,
        run.kind,
        run.status,
        ago(run.startedAt),
        run.endedAt === null ? '' : formatDuration(run.endedAt - run.startedAt),
        run.counters.rowsRead,
        formatBytes(run.counters.bytesWritten),
        run.error?.slice(0, 60) ?? '',
      ]),
    ),
  }
}

/** Parts of a run of the cluster that are shown: what is not done. */
const PARTS_MAX = 20
const EVENTS_MAX = 10_000

export const runsShow: CommandRun = async ({ args, globals }, io) => {
  await using catalog = await openClusterCatalog(globals, io)
  const run = await findRun(catalog, String(args[0]))
  const [events, progress, left] = await Promise.all([
    historyOf(catalog, run.id),
    catalog.runProgress(run.id),
    partsLeft(catalog, run.id),
  ])
  const failed = events.filter((event) => event.level === 'error')
  return {
    result: {
      run: runJson(run),
      progress: { ...progress },
      parts: left.map((part) => ({ ...part })),
      events: events.map((event) => ({ ...event })),
    },
    summary: `run ${run.id} ${run.status}; next: hakiri runs logs ${run.id}`,
    text: [
      formatTable(['', ''], factsOf(run, progress)),
      ...(left.length > 0 ? [partTable(left)] : []),
      ...failed.map((event) => `✗ ${event.shard ?? ''} ${event.message}`),
    ].join('\n'),
  }
}

function factsOf(
  run: RunRow,
  progress: RunProgress,
): readonly (readonly [string, string | number])[] {
  const { pending, done, failed, stopped } = progress
  const isShared = pending + done + failed + stopped > 0
  return [
    ['pipeline', run.pipeline],
    ['kind', run.kind],
    ['status', run.status],
    [isShared ? 'steward' : 'worker', run.worker],
    ['started', isoTime(run.startedAt)],
    ['took', run.endedAt === null ? 'not ended' : formatDuration(run.endedAt - run.startedAt)],
    isShared
      ? ['shards', `${done} done, ${failed} failed, ${pending} to do, ${stopped} stopped`]
      : ['shards', `${run.shardsDone} done, ${run.shardsFailed} failed, ${run.shardsTotal} in all`],
    ...Object.entries(run.counters),
    ['error', run.error ?? ''],
  ]
}

/** What is to do, then what failed. */
async function partsLeft(catalog: Catalog, runId: number): Promise<readonly RunShard[]> {
  const [pending, failed] = await Promise.all([
    catalog.runShards(runId, { state: 'pending', limit: PARTS_MAX }),
    catalog.runShards(runId, { state: 'failed', limit: PARTS_MAX }),
  ])
  return [...failed, ...pending].slice(0, PARTS_MAX)
}

function partTable(parts: readonly RunShard[]): string {
  return formatTable(
    ['shard', 'state', 'failed tries', 'next', 'settled by', 'error'],
    parts.map((part) => [
      part.shard,
      part.state,
      part.attempts,
      part.nextAt > Date.now() ? `in ${formatDuration(part.nextAt - Date.now())}` : '',
      part.worker,
      part.error?.slice(0, 60),
    ]),
  )
}

export const runsLogs: CommandRun = async ({ args, globals }, io) => {
  await using catalog = await openClusterCatalog(globals, io)
  const run = await findRun(catalog, String(args[0]))
  const events = await historyOf(catalog, run.id)
  return {
    result: events.map((event) => ({ ...event })),
    summary: `${events.length} event(s) of run ${run.id}`,
    text: events
      .map(
        ({ at, level, shard, worker, kind, message }) =>
          `${isoTime(at)} ${level.padEnd(5)} ${shard ?? '-'} ${worker === null ? '' : `@ ${worker} `}${kind} ${message}`,
      )
      .join('\n'),
  }
}

/** The newest, should there be more than anybody reads. */
function historyOf(catalog: Catalog, runId: number): Promise<readonly ClusterEvent[]> {
  return catalog.clusterEvents({ runId, afterId: 0, limit: EVENTS_MAX, newest: true })
}

export const runsCancel: CommandRun = async ({ args, globals }, io) => {
  const id = wholeNumber(String(args[0]), 'run')
  await using catalog = await openClusterCatalog(globals, io)
  const outcome = await cancelRun(operatorOf(catalog), id)
  const said = {
    cancelled: `✓ run ${id} is cancelled`,
    asked: `✓ run ${id} ends when its holders have committed; next: hakiri runs show ${id}`,
    over: `run ${id} is over already`,
  }
  return { result: { run: id, outcome }, summary: said[outcome] }
}

async function findRun(catalog: Catalog, id: string): Promise<RunRow> {
  const run = await catalog.run(wholeNumber(id, 'run'))
  if (run) return run
  throw unknownRun(id)
}

function runJson(run: RunRow): Json {
  return { ...run, counters: { ...run.counters } }
}
