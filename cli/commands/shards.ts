/** `hakiri shards`: where each shard is, and why. */
import type { Catalog } from '../../catalog/catalog.ts'
import type { Json } from '../../lib/json.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { notFound } from '../../worker/names.ts'
import { unknownShard } from '../../worker/operate.ts'
import { unitName, viewShards, type ShardView } from '../../worker/shard-view.ts'
import { explainShard } from '../../worker/shard-why.ts'
import { openClusterCatalog, shardArgument } from '../cluster.ts'
import type { CommandOutput, CommandRun } from '../command.ts'
import { formatTable } from '../output.ts'
import { ago } from '../time.ts'

export const shards: CommandRun = async ({ options, globals }, io) => {
  const why = options['why'] as string | undefined
  const key = why === undefined ? undefined : shardArgument(why)
  await using catalog = await openClusterCatalog(globals, io)
  if (key) return await explain(catalog, key)
  const pipeline = options['pipeline'] as string | undefined
  const worker = options['worker'] as string | undefined
  const filter = {
    unassigned: options['unassigned'] === true,
    ...(pipeline === undefined ? {} : { pipeline }),
    ...(worker === undefined ? {} : { worker }),
  }
  const found = await viewShards(catalog, filter, systemClock.now())
  if (found.length === 0) await checkNames(catalog, pipeline, worker)
  return {
    result: found.map(shardJson),
    summary: summaryOf(found),
    text: found.length === 0 ? '' : shardTable(found),
  }
}

async function explain(
  catalog: Catalog,
  key: { readonly pipeline: string; readonly shard: string },
): Promise<CommandOutput> {
  const now = systemClock.now()
  const [found, workers] = await Promise.all([
    viewShards(catalog, { pipeline: key.pipeline }, now),
    catalog.workers(),
  ])
  const view = found.find(({ shard }) => shard === key.shard)
  if (!view) throw await unknownShard(catalog, key)
  const story = explainShard(view, workers, now)
  return {
    result: { ...shardJson(view), facts: story.facts, advice: story.advice },
    summary: story.advice ?? '✓ nothing needs doing',
    text: [`${story.unit} is ${story.state}`, ...story.facts.map((fact) => `  ${fact}`)].join('\n'),
  }
}

/** An empty list is no answer to a name that is not there. */
async function checkNames(
  catalog: Catalog,
  pipeline: string | undefined,
  worker: string | undefined,
): Promise<void> {
  if (pipeline !== undefined) {
    const names = [...new Set((await catalog.shards()).map((row) => row.pipeline))]
    if (!names.includes(pipeline))
      throw notFound('shard of pipeline', pipeline, names, '`hakiri shards` lists all.')
  }
  if (worker !== undefined) {
    const names = (await catalog.workers()).map(({ name }) => name)
    if (!names.includes(worker))
      throw notFound('worker', worker, names, '`hakiri workers` lists them.')
  }
}

function shardTable(found: readonly ShardView[]): string {
  return formatTable(
    ['shard', 'state', 'worker', 'since', 'held by', 'epoch', 'commits', 'failures', 'why'],
    found.map((view) => [
      unitName(view),
      view.state,
      view.placement?.worker,
      view.placement ? ago(view.placement.since) : '',
      view.row?.holder,
      view.row?.epoch,
      view.row?.seq,
      view.row?.failures ?? 0,
      (view.row?.quarantine ?? view.part?.error ?? view.placement?.reason ?? '').slice(0, 60),
    ]),
  )
}

function summaryOf(found: readonly ShardView[]): string {
  if (found.length === 0) return 'no shards; a first run finds them'
  const counts = new Map<string, number>()
  for (const { state } of found) counts.set(state, (counts.get(state) ?? 0) + 1)
  const bad = found.find(({ state }) => state === 'unassigned' || state === 'quarantined')
  const next = bad ? `; next: hakiri shards --why ${unitName(bad)}` : ''
  return `${found.length} shard(s): ${[...counts].map(([state, n]) => `${n} ${state}`).join(', ')}${next}`
}

function shardJson({ pipeline, shard, state, row, placement, part }: ShardView) {
  const json: { readonly [key: string]: Json } = {
    pipeline,
    shard,
    state,
    worker: placement?.worker ?? null,
    reason: placement?.reason ?? null,
    since: placement?.since ?? null,
    table: row?.table ?? null,
    holder: row?.holder ?? null,
    epoch: row?.epoch ?? null,
    seq: row?.seq ?? null,
    failures: row?.failures ?? 0,
    quarantine: row?.quarantine ?? null,
    run: part
      ? { id: part.runId, attempts: part.attempts, nextAt: part.nextAt, error: part.error }
      : null,
  }
  return json
}
