/**
 * Takes shards before they are read: raises their epochs, learns where they stand.
 *
 * Invariant: a shard that was acquired is acquired again only at the epoch it was left with, so a retry
 * never takes back what somebody else took meanwhile (L3).
 */
import type { ShardKey, ShardRow } from '../catalog/catalog.ts'
import { HakiriError } from '../lib/error.ts'
import type { Json } from '../lib/json.ts'
import type { ShardJob, WorkerDeps } from './deps.ts'

/** Where reading starts. */
export type ReadStart =
  /** The load has this shard's rows already and waits for other shards. */
  { readonly kind: 'loaded' } | { readonly kind: 'read'; readonly cursor: Json }

/** The catalog's name for a job's shard. */
export function keyOf(job: ShardJob): ShardKey {
  return { pipeline: job.pipeline.name, shard: job.shard.id }
}

/** Throws FENCED when the job may take the shard only at an epoch that is past. */
export async function acquireOne(
  job: ShardJob,
  ifEpoch: number | undefined,
  deps: Pick<WorkerDeps, 'catalog' | 'worker'>,
): Promise<ShardRow> {
  if (!job.hold) return deps.catalog.acquireShard(keyOf(job), job.generation)
  const [row] = await deps.catalog.acquireShards([acquisition(job, ifEpoch)], deps.worker)
  if (!row) throw lostShard(job, ifEpoch)
  return row
}

/** Rows by shard; those that may not be had are missing. */
export async function acquireMany(
  jobs: readonly ShardJob[],
  deps: Pick<WorkerDeps, 'catalog' | 'worker'>,
): Promise<ReadonlyMap<string, ShardRow>> {
  const wanted = jobs.map((job) => acquisition(job, job.hold?.ifEpoch))
  const rows = await deps.catalog.acquireShards(wanted, deps.worker)
  return new Map(rows.map((row) => [row.shard, row]))
}

function acquisition(job: ShardJob, ifEpoch: number | undefined) {
  const { generation, hold, runId } = job
  return {
    ...keyOf(job),
    generation,
    ...(ifEpoch === undefined ? {} : { ifEpoch }),
    ...(hold?.isPart ? { ifPendingIn: runId } : {}),
  }
}

/** Another worker acquired the shard, or it was dropped. */
export function lostShard(job: ShardJob, ifEpoch: number | undefined): HakiriError {
  const { pipeline, shard } = keyOf(job)
  const held = ifEpoch === undefined ? 'is gone' : `was held with epoch ${ifEpoch}, which is past`
  return new HakiriError('FENCED', `${pipeline}/${shard} ${held}`, {
    suggestion: 'Another worker or a reset took the shard over; nothing was lost or written twice.',
  })
}

/**
 * A full pass that ended starts over, and one that did not carries on. A staged load that waits for other
 * shards has this one's rows already; so has a pass that ended while this worker was at it (`before`, as
 * it was first acquired), when the answer to its last commit was lost.
 */
export function startOf(job: ShardJob, row: ShardRow, before: ShardRow = row): ReadStart {
  const wasRead = row.done && job.mode.kind === 'full' && row.generation === job.generation
  if (wasRead && (job.isStaged || row.seq !== before.seq)) return { kind: 'loaded' }
  return { kind: 'read', cursor: wasRead ? null : row.cursor }
}
