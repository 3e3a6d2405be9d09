/** A catalog as a cluster at work leaves it: a manifest, shards in every state, workers, a run half done. */
import type { Catalog } from '../../catalog/catalog.ts'
import { encodeManifest, hashDocument } from '../../manifest/stored.ts'
import { loadFiles } from './manifest-files.ts'

export const CLUSTER_TOML = `version = 1
[catalog]
url = "sqlite:.hakiri/catalog.db"
[destination.lake]
type = "file"
url = "/tmp/lake"
[pipelines.shop]
source = { type = "postgres", url = "env:SHOP_DB", tables = ["orders"] }
write = { mode = "append" }
schedule = { every = "5m" }
[pipelines.web]
source = { type = "http", base = "https://api.example", streams = { a = { path = "/a" } } }
`

/** Of pipeline shop; the names have what breaks careless paths. */
export const SHARDS = ['a/b c%', 'held', 'paused', 'quarantined', 'unplaced', 'waiting'] as const

const NEW_TABLE = { destination: 'lake', key: [], partitionBy: [] } as const

export type Seeded = { readonly runId: number; readonly plannerEpoch: number }

export async function seedCluster(catalog: Catalog, now: number): Promise<Seeded> {
  const { result } = await loadFiles({ 'hakiri.toml': CLUSTER_TOML })
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const document = encodeManifest(result.manifest)
  await catalog.applyManifest(document, hashDocument(document), 'ann@c1')
  await catalog.ensureTable({ name: 'shop.orders', mode: 'append', ...NEW_TABLE })
  await catalog.ensureTable({ name: 'web.a', mode: 'replace', ...NEW_TABLE })
  const shards = SHARDS.map((shard) => ({
    pipeline: 'shop',
    shard,
    table: 'shop.orders',
    spec: null,
  }))
  await catalog.ensureShards([
    ...shards,
    { pipeline: 'web', shard: 'a', table: 'web.a', spec: null },
  ])
  const plannerEpoch = await seedWorkers(catalog)
  await catalog.pauseShard({ pipeline: 'shop', shard: 'paused' }, true)
  await catalog.quarantineShard({ pipeline: 'shop', shard: 'quarantined' }, 'SOURCE_DATA: no')
  const runId = await seedRun(catalog, now)
  return { runId, plannerEpoch }
}

async function seedWorkers(catalog: Catalog): Promise<number> {
  for (const name of ['w1', 'w2', 'w3'])
    await catalog.recordWorker({
      name,
      address: `${name}:7700`,
      labels: { zone: 'eu' },
      slots: 4,
      version: '0.1.0',
      startedAt: 1_000,
    })
  await catalog.cordonWorker('w2', true)
  const epoch = await catalog.acquirePlanner('w1')
  await catalog.recordPresence(epoch, ['w1', 'w2'])
  const on = (shard: string, worker: string | null, reason: string | null = null) => ({
    pipeline: 'shop',
    shard,
    worker,
    reason,
  })
  await catalog.recordPlacements(epoch, [
    on('a/b c%', 'w1'),
    on('held', 'w1'),
    on('paused', null, 'paused'),
    on('quarantined', null, 'quarantined'),
    on('unplaced', null, 'no worker carries zone=us'),
    on('waiting', 'w1'),
    on('~run', 'w1'),
  ])
  return epoch
}

/** A run over three shards: one done, one that failed once and waits, one to be read. */
async function seedRun(catalog: Catalog, now: number): Promise<number> {
  const { runId } = await catalog.requestRun({
    pipeline: 'shop',
    kind: 'run',
    request: { kind: 'run', fullRefresh: false },
    trigger: 'schedule',
    fireKey: 'shop@1',
    scheduledAt: 1_000,
    overlap: 'skip',
    manifestVersion: 1,
    by: 'w1',
  })
  const run = await catalog.takeRun(runId, 'w1')
  const parts = ['a/b c%', 'held', 'waiting'].map((shard) => ({ shard, table: 'shop.orders' }))
  await catalog.startRun(runId, run?.epoch ?? 0, { tables: 1 }, parts)
  const acquired = await catalog.acquireShards(
    parts.map(({ shard }) => ({ pipeline: 'shop', shard, generation: 0 })),
    'w1',
  )
  const epochOf = (shard: string): number => acquired.find((row) => row.shard === shard)?.epoch ?? 0
  const of = (shard: string) => ({
    pipeline: 'shop',
    shard,
    runId,
    worker: 'w1',
    epoch: epochOf(shard),
  })
  await catalog.settleShards([
    { ...of('held'), end: { kind: 'done' } },
    {
      ...of('waiting'),
      end: {
        kind: 'retry',
        attempts: 2,
        nextAt: now + 3_600_000,
        error: 'SOURCE_UNREACHABLE: away',
      },
    },
  ])
  await catalog.addClusterEvents([
    {
      at: 2_000,
      level: 'info',
      runId,
      pipeline: 'shop',
      shard: 'held',
      worker: 'w1',
      kind: 'shard-done',
      message: 'nothing new\nhere',
      data: { rows: 0 },
    },
  ])
  return runId
}
