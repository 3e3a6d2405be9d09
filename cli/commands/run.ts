/** `hakiri run`: the main job. */
import { rm } from 'node:fs/promises'
import type { Catalog } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { formatBytes, formatDuration } from '../../lib/units.ts'
import type { Pipeline } from '../../manifest/manifest.ts'
import { BATCH_BYTES } from '../../sink/encoder/limits.ts'
import type { ProgressEvent } from '../../worker/deps.ts'
import { maintainAfterRun } from '../../worker/maintenance.ts'
import { planMemory } from '../../worker/memory.ts'
import type { RunRequest } from '../../worker/prepare.ts'
import { runPipeline, type RunSummary } from '../../worker/run-pipeline.ts'
import type { CommandIo, CommandOutput, CommandRun } from '../command.ts'
import { EXIT, exitCodeOf } from '../exit.ts'
import { clientMemory } from '../memory.ts'
import { formatTable } from '../output.ts'
import { createProgress, type Progress } from '../progress.ts'
import { markLostRuns } from '../lost-runs.ts'
import { openProject, type Project } from '../project.ts'
import { openWorker } from '../worker.ts'

export const run: CommandRun = async (input, io) => {
  const { args, options, globals } = input
  if (options['cluster'] === true) return (await import('./run-cluster.ts')).runInCluster(input, io)
  if (options['wait'] === true)
    throw new HakiriError('USAGE', '--wait goes with --cluster', {
      suggestion: 'Without --cluster a run is waited for anyway.',
    })
  const project = await openProject(globals, io)
  const pipelines = project.pipelines((args[0] as readonly string[] | undefined) ?? [])
  if (pipelines.length === 0) {
    throw new HakiriError('NOT_FOUND', 'hakiri.toml has no pipeline', {
      suggestion: 'Add a [pipelines.NAME] section; `hakiri init` shows one of each kind.',
    })
  }
  const shard = options['shard'] as string | undefined
  return runAndReport(
    project,
    pipelines,
    { kind: 'run', fullRefresh: options['fullRefresh'] === true, shard },
    io,
  )
}

/** Runs pipelines one after the other, since each may use the whole memory budget. */
export async function runAndReport(
  project: Project,
  pipelines: readonly Pipeline[],
  request: RunRequest,
  io: CommandIo,
): Promise<CommandOutput> {
  await using catalog = await project.openCatalog()
  await markLostRuns(catalog)
  const scratchFolder = await project.scratchFolder()
  const summaries: RunSummary[] = []
  const failures: Failure[] = []
  try {
    for (const pipeline of pipelines) {
      if (io.stop.aborted) break
      try {
        summaries.push(await runOne(project, pipeline, request, catalog, scratchFolder, io))
      } catch (error) {
        if (!(error instanceof HakiriError) || pipelines.length === 1) throw error
        failures.push({ pipeline: pipeline.name, error })
      }
    }
  } finally {
    await rm(scratchFolder, { recursive: true, force: true })
  }
  return report(summaries, failures, pipelines, io)
}

async function runOne(
  project: Project,
  pipeline: Pipeline,
  request: RunRequest,
  catalog: Catalog,
  scratchFolder: string,
  io: CommandIo,
): Promise<RunSummary> {
  const destination = project.destination(pipeline.destination)
  const { encoderBytes } = planMemory(
    pipeline.memoryBytes,
    pipeline.limits.concurrency,
    BATCH_BYTES,
  )
  using progress = startProgress(io)
  const onProgress = (event: ProgressEvent): void => progress.observe(event)
  await using worker = await openWorker(project, {
    catalog,
    destination,
    scratchFolder,
    encoderBytes,
    io,
    onProgress,
  })
  const connector = await project.connector(pipeline)
  const host = project.connectorHost(pipeline)
  const job = { pipeline, destination, connector, host, request, batchBytesMax: BATCH_BYTES }
  const summary = await runPipeline(job, worker.deps, io.stop)
  await maintainAfterRun(summary, destination, worker.deps, io.stop)
  return summary
}

function startProgress(io: CommandIo): Progress {
  return createProgress({
    isTerminal: io.isTerminal,
    size: io.size,
    write: (text) => io.progress(text),
    overlay: (shown) => io.overlay(shown),
    now: () => systemClock.monotonic(),
    memoryBytes: clientMemory,
    every(ms, call) {
      const timer = setInterval(call, ms).unref()
      return () => clearInterval(timer)
    },
  })
}

/** A pipeline whose run could not start. */
/** What failed within a run: shards by name, then what is of the run as a whole. */
function failuresOf({
  shards,
  failure,
}: RunSummary): readonly { readonly shard: string | null; readonly error: HakiriError }[] {
  return [
    ...shards.flatMap(({ shard, error }) => (error ? [{ shard, error }] : [])),
    ...(failure ? [{ shard: null, error: failure }] : []),
  ]
}

type Failure = { readonly pipeline: string; readonly error: HakiriError }

function report(
  summaries: readonly RunSummary[],
  failures: readonly Failure[],
  pipelines: readonly Pipeline[],
  io: CommandIo,
): CommandOutput {
  const failed = summaries.flatMap(failuresOf)
  const rows = summaries.reduce((sum, summary) => sum + summary.counters.rowsRead, 0)
  const bad = failed.length + failures.length
  const lastRun = summaries.findLast((summary) => failuresOf(summary).length > 0)
  const stopped =
    summaries.some((summary) => summary.status === 'cancelled') ||
    (io.stop.aborted && summaries.length + failures.length < pipelines.length)
  const words = [
    `${rows.toLocaleString('en')} rows`,
    ...(bad > 0
      ? [`${bad} failed: see \`hakiri runs ${lastRun ? `show ${lastRun.runId}` : ''}\``]
      : []),
    stopped ? 'stopped early; `hakiri run` carries on from here' : nextCommand(summaries),
  ]
  return {
    result: [...summaries.map(summaryJson), ...failures.map(failureJson)],
    summary: words.join(' · '),
    exitCode: exitOf(summaries, failures),
    stopped,
    text: summaryText(summaries, failures),
  }
}

/** A query over the first table that has something, in words that can be pasted. */
function nextCommand(summaries: readonly RunSummary[]): string {
  const table = summaries
    .flatMap((summary) => summary.tables)
    .find((each) => each.version !== undefined)
  return table ? `next: hakiri query "from ${table.table} limit 10"` : 'next: hakiri status'
}

/** A run of failed shards is a runtime failure, unless everything failed for one reason outside. */
function exitOf(summaries: readonly RunSummary[], failures: readonly Failure[]): number {
  const bad = summaries.filter(
    (summary) => summary.status === 'failed' || summary.status === 'partial',
  )
  if (bad.length + failures.length === 0) return EXIT.done
  const errors = [
    ...failures.map((failure) => failure.error),
    ...bad.flatMap((summary) => failuresOf(summary).map(({ error }) => error)),
  ]
  const codes = new Set(errors.map((error) => exitCodeOf(error)))
  const [only] = codes
  const all = bad.every((summary) => summary.status === 'failed')
  return all && codes.size === 1 && only !== undefined ? only : EXIT.runtime
}

function summaryJson(summary: RunSummary): Json {
  return {
    run: summary.runId,
    pipeline: summary.pipeline,
    status: summary.status,
    durationMs: Math.round(summary.durationMs),
    counters: { ...summary.counters },
    tables: summary.tables.map((table) => ({
      table: table.table,
      version: table.version ?? null,
      newColumns: table.newColumns,
    })),
    warnings: summary.warnings,
    failures: failuresOf(summary).map(({ shard, error: { code, message, suggestion } }) => ({
      shard,
      code,
      message,
      suggestion: suggestion ?? null,
    })),
  }
}

function failureJson({ pipeline, error }: Failure): Json {
  return {
    run: null,
    pipeline,
    status: 'failed',
    failures: [
      {
        shard: null,
        code: error.code,
        message: error.message,
        suggestion: error.suggestion ?? null,
      },
    ],
  }
}

function summaryText(summaries: readonly RunSummary[], failures: readonly Failure[]): string {
  const header = [
    'pipeline',
    'status',
    'rows',
    'written',
    'files',
    'time',
    'retries',
    '304s',
    'quarantined',
  ]
  const rows = summaries.map(({ pipeline, status, counters, durationMs }) => [
    pipeline,
    status,
    counters.rowsRead,
    formatBytes(counters.bytesWritten),
    counters.files,
    formatDuration(durationMs),
    counters.retries,
    counters.notModified,
    counters.rowsQuarantined,
  ])
  const notes = summaries.flatMap((summary) => [
    ...summary.warnings.map((warning) => `⚠ ${summary.pipeline}: ${warning}`),
    ...summary.tables.flatMap((table) =>
      table.newColumns.map((change) => `+ ${table.table}: ${change}`),
    ),
    ...failuresOf(summary).map(({ shard, error }) =>
      failureText(shard === null ? summary.pipeline : `${summary.pipeline}/${shard}`, error),
    ),
  ])
  return [
    formatTable(header, rows),
    ...notes,
    ...failures.map(({ pipeline, error }) => failureText(pipeline, error)),
  ].join('\n')
}

function failureText(where: string, { code, message, suggestion }: HakiriError): string {
  return `✗ ${where}: ${code}: ${message}${suggestion ? `\n  → ${suggestion}` : ''}`
}
