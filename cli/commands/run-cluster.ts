/** `hakiri run --cluster`: asks the workers of a cluster for a run, and with --wait follows it. */
import type { Catalog, RunRow } from '../../catalog/catalog.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Json } from '../../lib/json.ts'
import { isOpen, newestManifest, requestRun, type RunAsk } from '../../worker/operate.ts'
import { openClusterCatalog, operatorOf, waitUntil } from '../cluster.ts'
import type { CommandInput, CommandIo, CommandOutput } from '../command.ts'
import { EXIT } from '../exit.ts'
import { formatTable } from '../output.ts'

type Asked = { readonly pipeline: string; readonly runId: number }

export async function runInCluster(
  { args, options, globals }: CommandInput,
  io: CommandIo,
): Promise<CommandOutput> {
  await using catalog = await openClusterCatalog(globals, io)
  const named = (args[0] as readonly string[] | undefined) ?? []
  const { manifest } = await newestManifest(catalog)
  const pipelines = named.length > 0 ? named : Object.keys(manifest.pipelines)
  const shard = options['shard'] as string | undefined
  const asked: Asked[] = []
  for (const pipeline of pipelines) {
    const ask: RunAsk = {
      pipeline,
      fullRefresh: options['fullRefresh'] === true,
      overlap: 'queue',
      ...(shard === undefined ? {} : { shard }),
    }
    const { runId } = await requestRun(operatorOf(catalog), ask)
    asked.push({ pipeline, runId })
    io.progress(`run ${runId} of ${pipeline} is asked for\n`)
  }
  if ((await catalog.workers()).every((worker) => !worker.isPresent))
    io.progress('no worker is present: it waits until one starts (`hakiri serve`)\n')
  return options['wait'] === true ? await follow(catalog, asked, io) : report(asked)
}

function report(asked: readonly Asked[]): CommandOutput {
  const next = asked.length === 1 ? `hakiri runs show ${asked[0]?.runId}` : 'hakiri ps'
  return {
    result: asked.map(({ pipeline, runId }) => ({ pipeline, run: runId, status: 'queued' })),
    summary: `✓ ${asked.map(({ pipeline, runId }) => `run ${runId} of ${pipeline}`).join(', ')} asked for; next: ${next}`,
  }
}

async function follow(
  catalog: Catalog,
  asked: readonly Asked[],
  io: CommandIo,
): Promise<CommandOutput> {
  let said = ''
  const ended = await waitUntil(io, async () => {
    const runs = await Promise.all(asked.map(({ runId }) => findRun(catalog, runId)))
    const text = await progressText(catalog, runs)
    if (text !== said) io.progress(text)
    said = text
    return runs.some(isOpen) ? undefined : runs
  })
  return ended
    ? reportEnd(ended)
    : { ...report(asked), summary: 'no longer watched; the workers go on', stopped: true }
}

async function findRun(catalog: Catalog, runId: number): Promise<RunRow> {
  const run = await catalog.run(runId)
  if (run) return run
  throw new HakiriError('NOT_FOUND', `run ${runId} is gone from the catalog`)
}

async function progressText(catalog: Catalog, runs: readonly RunRow[]): Promise<string> {
  const lines = await Promise.all(
    runs.map(async (run) => {
      const { pending, done, failed } = await catalog.runProgress(run.id)
      const counts = pending + done + failed === 0 ? '' : `: ${done} done, ${pending} to do`
      const bad = failed === 0 ? '' : `, ${failed} failed`
      return `run ${run.id} of ${run.pipeline} is ${run.status}${counts}${bad}\n`
    }),
  )
  return lines.join('')
}

function reportEnd(runs: readonly RunRow[]): CommandOutput {
  const bad = runs.filter((run) => run.status !== 'succeeded')
  const rows = runs.reduce((sum, run) => sum + run.counters.rowsRead, 0)
  return {
    result: runs.map((run): Json => ({
      pipeline: run.pipeline,
      run: run.id,
      status: run.status,
      error: run.error,
      counters: { ...run.counters },
    })),
    summary:
      bad.length === 0
        ? `✓ ${rows.toLocaleString('en')} rows`
        : `${bad.length} of ${runs.length} run(s) ended badly; next: hakiri runs show ${bad[0]?.id}`,
    text: formatTable(
      ['run', 'pipeline', 'status', 'done', 'failed', 'rows', 'error'],
      runs.map((run) => [
        run.id,
        run.pipeline,
        run.status,
        run.shardsDone,
        run.shardsFailed,
        run.counters.rowsRead,
        run.error?.slice(0, 60),
      ]),
    ),
    exitCode: bad.length === 0 ? EXIT.done : EXIT.runtime,
  }
}
