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
import { formatTable } from '../output.ts'
import { createProgress, type Progress } from '../progress.ts'
import { openProject, type Project } from '../project.ts'
import { openWorker } from '../worker.ts'

export const run: CommandRun = async ({ args, options, globals }, io) => {
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
  const scratchFolder = await project.scratchFolder()
  const summaries: RunSummary[] = []
  const failures: HakiriError[] = []
  try {
    for (const pipeline of pipelines) {
      if (io.stop.aborted) break
      try {
        summaries.push(await runOne(project, pipeline, request, catalog, scratchFolder, io))
      } catch (error) {
        if (!(error instanceof HakiriError) || pipelines.length === 1) throw error
        io.logger.log('error', `${pipeline.name}: ${error.message}`, { code: error.code })
        failures.push(error)
      }
    }
  } finally {
    await rm(scratchFolder, { recursive: true, force: true })
  }
  return report(summaries, failures, io)
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
    columns: io.columns,
    write: (text) => io.progress(text),
    now: () => systemClock.monotonic(),
    memoryBytes: () => process.memoryUsage.rss(),
  })
}

function report(
  summaries: readonly RunSummary[],
  failures: readonly HakiriError[],
  io: CommandIo,
): CommandOutput {
  const failed = summaries.flatMap((summary) => summary.shards).filter((shard) => shard.error)
  const rows = summaries.reduce((sum, summary) => sum + summary.counters.rowsRead, 0)
  const cancelled = io.stop.aborted
  const words = [
    `${rows.toLocaleString('en')} rows`,
    ...(failed.length + failures.length > 0
      ? [
          `${failed.length + failures.length} failed: see \`hakiri runs show ${summaries.at(-1)?.runId ?? ''}\``,
        ]
      : []),
    cancelled ? 'stopped early: `hakiri run` carries on' : 'next: `hakiri query`',
  ]
  return {
    result: summaries.map(summaryJson),
    summary: words.join(' · '),
    exitCode: exitOf(summaries, failures),
    text: summaryText(summaries),
  }
}

/** A run of failed shards is a runtime failure, unless everything failed for one reason outside. */
function exitOf(summaries: readonly RunSummary[], failures: readonly HakiriError[]): number {
  const bad = summaries.filter(
    (summary) => summary.status === 'failed' || summary.status === 'partial',
  )
  if (bad.length + failures.length === 0) return EXIT.done
  const errors = [
    ...failures,
    ...bad.flatMap((summary) =>
      summary.shards.flatMap((shard) => (shard.error ? [shard.error] : [])),
    ),
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
    failures: summary.shards.flatMap((shard) =>
      shard.error
        ? [
            {
              shard: shard.shard,
              code: shard.error.code,
              message: shard.error.message,
              suggestion: shard.error.suggestion ?? null,
            },
          ]
        : [],
    ),
  }
}

function summaryText(summaries: readonly RunSummary[]): string {
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
    ...summary.shards.flatMap((shard) =>
      shard.error
        ? [
            `✗ ${summary.pipeline}/${shard.shard}: ${shard.error.code}: ${shard.error.message}${shard.error.suggestion ? `\n  → ${shard.error.suggestion}` : ''}`,
          ]
        : [],
    ),
  ])
  return [formatTable(header, rows), ...notes].join('\n')
}
