/** What a cluster looks like from outside, a line a second: how far the run is, who holds what, who leads. */
import type { Catalog } from '../../catalog/catalog.ts'
import type { AdminClient } from '../../coord/client/admin.ts'

export type Look = {
  readonly done: number
  readonly total: number
  /** Shards of the pipeline by the worker that they are assigned to. */
  readonly shards: ReadonlyMap<string, number>
  /** Parts that are not done yet, by worker. */
  readonly pending: ReadonlyMap<string, readonly string[]>
  readonly leader: string
}

export async function look(
  runId: number,
  pipeline: string,
  catalog: Catalog,
  admin: AdminClient,
  endpoints: readonly string[],
): Promise<Look> {
  const [progress, placements, pending, leader] = await Promise.all([
    catalog.runProgress(runId),
    catalog.placements({ pipeline }),
    catalog.pendingShards([pipeline]),
    leaderOf(admin, endpoints),
  ])
  const isShard = (shard: string): boolean => !shard.startsWith('~')
  const at = new Map(placements.map(({ shard, worker }) => [shard, worker ?? 'nobody']))
  const shards = Map.groupBy(
    placements.filter(({ shard }) => isShard(shard)),
    ({ worker }) => worker ?? 'nobody',
  )
  const waiting = Map.groupBy(pending, ({ shard }) => at.get(shard) ?? 'nobody')
  return {
    done: progress.done,
    total: progress.done + progress.pending + progress.failed + progress.stopped,
    shards: new Map([...shards].map(([worker, list]) => [worker, list.length])),
    pending: new Map(
      [...waiting].map(([worker, list]) => [worker, list.map(({ shard }) => shard)]),
    ),
    leader,
  }
}

async function leaderOf(admin: AdminClient, endpoints: readonly string[]): Promise<string> {
  for (const endpoint of endpoints) {
    const status = await admin.status(endpoint).catch(() => undefined)
    const id = status?.header?.memberId
    if (status && status.leader !== 0n && status.leader === id) return endpoint
  }
  return 'nobody'
}

const BAR = 20

export function lineOf(seconds: number, seen: Look, names: ReadonlyMap<string, string>): string {
  const { done, total, shards, leader } = seen
  const full = total === 0 ? 0 : Math.round((done / total) * BAR)
  const bar = '█'.repeat(full) + '░'.repeat(BAR - full)
  const holders = [...shards]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([worker, count]) => `${worker} ${count}`)
  const head = `${seconds.toFixed(1).padStart(5)} s  ${bar}  ${done}/${total} shards done`
  return `${head} · held by ${holders.join(', ') || 'nobody yet'} · ${names.get(leader) ?? leader} leads`
}
