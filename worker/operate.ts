/**
 * What an operator may ask of the cluster: each is a change of the catalog and an event that says who
 * asked, so that it works with every worker away. The command line and the HTTP API both end here.
 */
import type { Catalog, RunRow, ShardKey, ShardRow } from '../catalog/catalog.ts'
import type { NewClusterEvent, RunAdmission, WorkerRow } from '../catalog/cluster.ts'
import { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import type { Clock } from '../lib/ports.ts'
import { decodeManifest } from '../manifest/stored.ts'
import type { Manifest } from '../manifest/manifest.ts'
import { notFound } from './names.ts'
import type { RunRequest } from './prepare.ts'
import { unitName } from './shard-view.ts'

export type Operator = {
  readonly catalog: Catalog
  readonly clock: Clock
  /** user@host, or the name of a token. */
  readonly by: string
}

// ── Shards ────────────────────────────────────────────────────────────────────────────────────────

export async function pauseShard(operator: Operator, key: ShardKey): Promise<ShardRow> {
  const row = await operator.catalog.pauseShard(key, true)
  return recordShard(operator, key, row, 'shard-paused', 'was paused')
}

/** Lifts a pause and a quarantine, and forgets the failures. */
export async function resumeShard(operator: Operator, key: ShardKey): Promise<ShardRow> {
  const { catalog } = operator
  const unpaused = await catalog.pauseShard(key, false)
  const row = unpaused && (await catalog.quarantineShard(key, null))
  return recordShard(operator, key, row, 'shard-resumed', 'was resumed')
}

/** Raises the epoch: whoever works on it changes nothing more, and its holder acquires it anew. */
export async function releaseShard(operator: Operator, key: ShardKey): Promise<ShardRow> {
  const row = await findShard(operator.catalog, key)
  const raised = await operator.catalog.acquireShard(key, row.generation)
  return recordShard(
    operator,
    key,
    raised,
    'shard-released',
    `was released at epoch ${raised.epoch}`,
  )
}

/**
 * Forgets the cursor and what the connector kept, so that the next run reads from the start; lifts a
 * quarantine. In a table of mode append the rows double.
 */
export async function resetShard(operator: Operator, key: ShardKey): Promise<ShardRow> {
  const { catalog } = operator
  await findShard(catalog, key)
  await catalog.clearShardState(key)
  await catalog.setCursor(key, null)
  // Once more: a holder may have committed between the two, and is fenced only now.
  await catalog.clearShardState(key)
  const row = await catalog.quarantineShard(key, null)
  return recordShard(operator, key, row, 'shard-reset', 'starts over')
}

/** Whether reading the shard from the start would double rows. */
export async function wouldDouble(catalog: Catalog, key: ShardKey): Promise<boolean> {
  const row = await findShard(catalog, key)
  return row.seq > 0 && (await catalog.table(row.table))?.mode === 'append'
}

async function findShard(catalog: Catalog, key: ShardKey): Promise<ShardRow> {
  const row = (await catalog.shards(key.pipeline)).find(({ shard }) => shard === key.shard)
  if (row) return row
  throw await unknownShard(catalog, key)
}

async function recordShard(
  operator: Operator,
  key: ShardKey,
  row: ShardRow | undefined,
  kind: string,
  what: string,
): Promise<ShardRow> {
  if (!row) throw await unknownShard(operator.catalog, key)
  await record(operator, { kind, message: `${unitName(key)} ${what}`, ...key })
  return row
}

/** NOT_FOUND, with the nearest shard of the pipeline or of all. */
export async function unknownShard(catalog: Catalog, key: ShardKey): Promise<HakiriError> {
  const own = await catalog.shards(key.pipeline)
  const names = (own.length > 0 ? own : await catalog.shards()).map(unitName)
  return notFound('shard', unitName(key), names, '`hakiri shards` lists them.')
}

// ── Workers ───────────────────────────────────────────────────────────────────────────────────────

/** Cordons a worker, which gives back what it has; or lifts that. */
export async function cordonWorker(
  operator: Operator,
  name: string,
  cordoned: boolean,
): Promise<WorkerRow> {
  const row = await operator.catalog.cordonWorker(name, cordoned)
  if (!row) {
    const names = (await operator.catalog.workers()).map((worker) => worker.name)
    throw notFound('worker', name, names, '`hakiri workers` lists them.')
  }
  const kind = cordoned ? 'worker-drained' : 'worker-uncordoned'
  const what = cordoned ? 'drains' : 'may work again'
  await record(operator, { kind, message: `${name} ${what}`, worker: name })
  return row
}

// ── Runs ──────────────────────────────────────────────────────────────────────────────────────────

/** Runs of one pipeline that may wait; more are refused. */
const QUEUED_MAX = 10

export type RunAsk = {
  readonly pipeline: string
  readonly fullRefresh: boolean
  readonly shard?: string
  readonly overlap: 'skip' | 'queue'
  /** The same key asks for the same run, once for ever. */
  readonly key?: string
}

/** Asks for a run of the newest manifest; any worker may take it. */
export async function requestRun(operator: Operator, ask: RunAsk): Promise<RunAdmission> {
  const { catalog, clock, by } = operator
  const { manifest, version } = await newestManifest(catalog)
  const { pipeline, shard, fullRefresh, overlap, key } = ask
  if (!Object.hasOwn(manifest.pipelines, pipeline))
    throw notFound('pipeline', pipeline, Object.keys(manifest.pipelines), knownPipelines(manifest))
  if (shard !== undefined) await findShard(catalog, { pipeline, shard })
  const waiting = (await catalog.openRuns()).filter(
    (run) => run.pipeline === pipeline && run.status === 'queued',
  )
  if (waiting.length >= QUEUED_MAX)
    throw new HakiriError('RUNS_WAITING', `${waiting.length} runs of ${pipeline} wait already`, {
      suggestion: 'Wait for them, or `hakiri runs cancel` some.',
    })
  const request: RunRequest = { kind: 'run', fullRefresh, shard }
  return catalog.requestRun({
    pipeline,
    kind: fullRefresh ? 'full-refresh' : 'run',
    request: encodeRequest(request),
    trigger: 'manual',
    fireKey: key === undefined ? null : `${pipeline}@manual:${key}`,
    scheduledAt: clock.now(),
    overlap,
    manifestVersion: version,
    by,
  })
}

/** JSON has no undefined: what is not asked for is absent. */
function encodeRequest(request: RunRequest): Json {
  return JSON.parse(JSON.stringify(request)) as Json
}

export type CancelOutcome = Exclude<Awaited<ReturnType<Catalog['cancelRun']>>, 'unknown'>

/** 'asked': it ends when its holders have stopped. */
export async function cancelRun(operator: Operator, runId: number): Promise<CancelOutcome> {
  const outcome = await operator.catalog.cancelRun(runId)
  if (outcome === 'unknown') throw unknownRun(runId)
  if (outcome !== 'over')
    await record(operator, {
      kind: 'run-cancelled',
      message: `run ${runId} was cancelled`,
      runId,
      pipeline: (await operator.catalog.run(runId))?.pipeline ?? null,
    })
  return outcome
}

export function unknownRun(id: number | string): HakiriError {
  return new HakiriError('NOT_FOUND', `no run ${id}`, { suggestion: '`hakiri runs` lists them.' })
}

/** 'queued', 'running' and 'finishing' are not over. */
export function isOpen({ status }: Pick<RunRow, 'status'>): boolean {
  return status === 'queued' || status === 'running' || status === 'finishing'
}

// ── The manifest ──────────────────────────────────────────────────────────────────────────────────

export type NewestManifest = { readonly manifest: Manifest; readonly version: number }

/** NOT_FOUND while nothing was applied. */
export async function newestManifest(catalog: Catalog): Promise<NewestManifest> {
  const stored = await catalog.manifest()
  if (!stored)
    throw new HakiriError('NOT_FOUND', 'no manifest is stored in the catalog', {
      suggestion: 'Run `hakiri apply` first.',
    })
  return {
    manifest: decodeManifest(stored.document, { ...stored, baseFolder: '/' }),
    version: stored.version,
  }
}

function knownPipelines(manifest: Manifest): string {
  const names = Object.keys(manifest.pipelines)
  return names.length === 0 ? 'Add a [pipelines.NAME] section.' : `There is ${names.join(', ')}.`
}

type Said = Pick<NewClusterEvent, 'kind' | 'message'> & Partial<NewClusterEvent>

async function record({ catalog, clock, by }: Operator, said: Said): Promise<void> {
  await catalog.addClusterEvents([
    {
      at: clock.now(),
      level: 'info',
      runId: null,
      pipeline: null,
      shard: null,
      worker: null,
      data: { by },
      ...said,
    },
  ])
}
