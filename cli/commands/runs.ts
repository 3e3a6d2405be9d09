/** `hakiri runs`, `runs show`, `runs logs`: what happened. */
import type { Catalog, RunRow } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { formatBytes, formatDuration } from '../../lib/units.ts'
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

export const runsShow: CommandRun = async ({ args, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const run = await findRun(catalog, String(args[0]))
  const events = await catalog.events(run.id)
  const facts: [string, string | number][] = [
    ['pipeline', run.pipeline],
    ['kind', run.kind],
    ['status', run.status],
    ['worker', run.worker],
    ['started', isoTime(run.startedAt)],
    ['took', run.endedAt === null ? 'not ended' : formatDuration(run.endedAt - run.startedAt)],
    ['shards', `${run.shardsDone} done, ${run.shardsFailed} failed, ${run.shardsTotal} in all`],
    ...Object.entries(run.counters),
    ['error', run.error ?? ''],
  ]
  const failed = events.filter((event) => event.level === 'error')
  return {
    result: { run: runJson(run), events: events.map((event) => ({ ...event })) },
    summary: `run ${run.id} ${run.status}; next: hakiri runs logs ${run.id}`,
    text: [
      formatTable(['', ''], facts),
      ...failed.map((event) => `✗ ${event.shard ?? ''} ${event.message}`),
    ].join('\n'),
  }
}

export const runsLogs: CommandRun = async ({ args, globals }, io) => {
  const project = await openProject(globals, io)
  await using catalog = await project.openCatalog()
  const run = await findRun(catalog, String(args[0]))
  const events = await catalog.events(run.id)
  return {
    result: events.map((event) => ({ ...event })),
    summary: `${events.length} event(s) of run ${run.id}`,
    text: events
      .map(
        (event) =>
          `${isoTime(event.at)} ${event.level.padEnd(5)} ${event.shard ?? '-'} ${event.kind} ${event.message}`,
      )
      .join('\n'),
  }
}

async function findRun(catalog: Catalog, id: string): Promise<RunRow> {
  const run = await catalog.run(wholeNumber(id, 'run'))
  if (run) return run
  throw new HakiriError('NOT_FOUND', `no run ${id}`, { suggestion: '`hakiri runs` lists them.' })
}

function runJson(run: RunRow): Json {
  return { ...run, counters: { ...run.counters } }
}
