/** What tests of the cluster's part of the catalog need: runs with parts, and groups of shards. */
import type { Catalog } from '../../../catalog/catalog.ts'
import type { GroupOutcome, NewClusterRun, ShardSettlement } from '../../../catalog/cluster.ts'
import type { ShardCommit, ShardRow } from '../../../catalog/rows.ts'
import { dataFile } from './kit.ts'

export function clusterRun(run: Partial<NewClusterRun> = {}): NewClusterRun {
  return {
    pipeline: 'p',
    kind: 'run',
    request: { full: false },
    trigger: 'manual',
    fireKey: null,
    scheduledAt: 500,
    overlap: 'queue',
    manifestVersion: 1,
    by: 'me@here',
    ...run,
  }
}

export type Started = { readonly runId: number; readonly epoch: number }

/** A run of pipeline `p` that its steward has started with these shards of table `t`. */
export async function startRun(
  catalog: Catalog,
  shards: readonly string[],
  run: Partial<NewClusterRun> = {},
): Promise<Started> {
  const { runId } = await catalog.requestRun(clusterRun(run))
  const taken = await catalog.takeRun(runId, 'steward')
  if (!taken) throw new Error(`run ${runId} is over`)
  const parts = shards.map((shard) => ({ shard, table: 't' }))
  const started = await catalog.startRun(runId, taken.epoch, { of: runId }, parts)
  if (!started) throw new Error(`run ${runId} did not start`)
  return { runId, epoch: taken.epoch }
}

export function keysOf(shards: readonly string[]): { pipeline: string; shard: string }[] {
  return shards.map((shard) => ({ pipeline: 'p', shard }))
}

/** The states of a run's parts, by shard. */
export async function statesOf(catalog: Catalog, runId: number): Promise<Record<string, string>> {
  const parts = await catalog.runShards(runId)
  return Object.fromEntries(parts.map((part) => [part.shard, part.state]))
}

export function settlement(
  runId: number,
  row: Pick<ShardRow, 'shard' | 'epoch'>,
  end: ShardSettlement['end'],
  worker = 'w',
): ShardSettlement {
  return { runId, pipeline: 'p', shard: row.shard, epoch: row.epoch, worker, end }
}

export type Group = {
  readonly rows: readonly ShardRow[]
  readonly runId: number
  /** The commits of all members; the last of `rows` carries the files. */
  commits(parts?: GroupParts): readonly ShardCommit[]
  commit(parts?: GroupParts): Promise<GroupOutcome>
}

export type GroupParts = Partial<Omit<ShardCommit, 'changes'>> & {
  readonly adds?: readonly string[]
  readonly carrier?: string
}

/** Acquires shards of `p`, and commits them together from then on. */
export async function newGroup(
  catalog: Catalog,
  shards: readonly string[],
  options: {
    readonly runId: number
    readonly holder?: string
    readonly generation?: number
  },
): Promise<Group> {
  const { runId, holder = 'w', generation = 1 } = options
  const rows = await catalog.acquireShards(
    keysOf(shards).map((key) => ({ ...key, generation })),
    holder,
  )
  const seqs = new Map(rows.map((row) => [row.shard, row.seq]))
  const commits = (parts: GroupParts = {}): readonly ShardCommit[] => {
    const { adds = [], carrier = rows.at(-1)?.shard, ...rest } = parts
    return rows.map((row) => ({
      pipeline: row.pipeline,
      shard: row.shard,
      runId,
      epoch: row.epoch,
      expectedSeq: seqs.get(row.shard)!,
      generation,
      cursor: { at: seqs.get(row.shard)! + 1 },
      done: false,
      changes:
        adds.length > 0 && row.shard === carrier
          ? [{ table: 't', adds: adds.map(dataFile), removes: [], dataChange: true }]
          : [],
      state: {},
      counters: {},
      ...rest,
    }))
  }
  const commit = async (parts: GroupParts = {}): Promise<GroupOutcome> => {
    const outcome = await catalog.commitShards(commits(parts))
    if (outcome.kind === 'committed') for (const [shard, seq] of seqs) seqs.set(shard, seq + 1)
    return outcome
  }
  return { rows, runId, commits, commit }
}
