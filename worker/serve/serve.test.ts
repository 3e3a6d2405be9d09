/**
 * Whole workers in one process: several of them over one in-process coordinator and one real catalog, with
 * real stores and encoders and a source whose every event is the test's.
 */
import { mkdtemp, mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Catalog, RunRow } from '../../catalog/catalog.ts'
import { openCatalog } from '../../catalog/open.ts'
import type { Connector } from '../../connector/connector.ts'
import { createLocalCoord, type LocalCoord } from '../../coord/local/local-client.ts'
import { createCoordination } from '../../lease/create.ts'
import { HakiriError } from '../../lib/error.ts'
import type { LogFields } from '../../lib/ports.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import type { Manifest, Pipeline } from '../../manifest/manifest.ts'
import { createEncoder } from '../../sink/encoder/create.ts'
import { openStore } from '../../sink/store/open.ts'
import { assertDelta } from '../../test/support/delta-lint.ts'
import { folderSource } from '../../test/support/delta-reader.ts'
import { DESTINATION, PIPELINE, rows, source, valuesOf } from '../../test/support/worker-lab.ts'
import type { ServeObserver } from './deps.ts'
import { createServe, type Serve } from './serve.ts'

const PARTS = { clock: systemClock, random: systemRandom }
const WAIT_MS = 60_000

type Line = { readonly level: string; readonly message: string; readonly fields: LogFields }
type Worker = AsyncDisposable & {
  readonly serve: Serve
  readonly lines: Line[]
  /** A clean stop; resolves when it has left. */
  stop(): Promise<void>
}

type Cluster = AsyncDisposable & {
  readonly catalog: Catalog
  readonly coord: LocalCoord
  readonly folder: string
  start(name: string, options?: WorkerOptions): Promise<Worker>
  run(kind?: RunRow['kind']): Promise<number>
  ended(runId: number): Promise<RunRow>
  values(column?: string): Promise<readonly unknown[]>
}

type WorkerOptions = {
  readonly slots?: number
  readonly labels?: { readonly [label: string]: string }
  readonly connector?: Connector
}

async function openCluster(
  connector: Connector,
  pipeline: Partial<Pipeline> = {},
): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-serve-'))
  const url = join(folder, 'catalog.db')
  const catalog = await openCatalog(url, PARTS)
  const quiet = { ...PARTS, logger: { log: () => undefined } }
  const coord = createLocalCoord(quiet)
  const shop = { ...PIPELINE, ...pipeline }
  const manifest = { destinations: { lake: DESTINATION }, pipelines: { shop } } as unknown
  await catalog.applyManifest(manifest as never, 'h1', 'test')
  const cluster: Cluster = {
    catalog,
    coord,
    folder,
    start: (name, options = {}) => startWorker(cluster, url, name, connector, options),
    async run(kind = 'run') {
      const fullRefresh = kind === 'full-refresh'
      const { runId } = await catalog.requestRun({
        pipeline: 'shop',
        kind,
        request: { kind: 'run', fullRefresh },
        trigger: 'manual',
        fireKey: null,
        scheduledAt: systemClock.now(),
        overlap: 'queue',
        manifestVersion: 1,
        by: 'test',
      })
      return runId
    },
    ended: (runId) =>
      until(async () => {
        const run = await catalog.run(runId)
        return run && run.endedAt !== null ? run : undefined
      }, `run ${runId} to end`),
    values: async (column = 'id') => {
      const table = folderSource(join(folder, 'lake', 'shop', 'orders'))
      await assertDelta(table)
      return valuesOf(table, column)
    },
    async [Symbol.asyncDispose]() {
      await catalog[Symbol.asyncDispose]()
      coord[Symbol.dispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return cluster
}

async function startWorker(
  { coord, folder }: Cluster,
  url: string,
  name: string,
  connector: Connector,
  options: WorkerOptions,
): Promise<Worker> {
  const lines: Line[] = []
  const log = (level: string, message: string, fields: LogFields = {}): void =>
    void lines.push({ level, message, fields })
  const parts = { ...PARTS, logger: { log } }
  const catalog = await openCatalog(url, PARTS)
  const client = coord.connect()
  const coordination = createCoordination(client, {
    ...parts,
    prefix: 'test/',
    isAlive: () => true,
  })
  const scratchFolder = join(folder, name)
  await mkdir(scratchFolder)
  const { slots = 2, labels = {} } = options
  const serve = createServe({
    ...parts,
    catalog,
    coordination,
    identity: {
      name,
      incarnation: systemRandom.uuid(),
      machine: name,
      pid: process.pid,
      address: '127.0.0.1:1',
      slots,
      unitsMax: 1_000,
      labels,
      version: 'test',
      protocol: { oldest: 1, newest: 1 },
      startedAt: systemClock.now(),
    },
    settings: { ttlMs: 2_000, slots, memoryBytes: 256e6, drainMs: 10_000, graceMs: 0, pollMs: 200 },
    observer: SILENT,
    scratchFolder,
    engine: 'hakiri/test',
    host: {
      decodeManifest: ({ document }) => document as unknown as Manifest,
      openStore: () => openStore({ type: 'file', url: join(folder, 'lake') }, parts),
      openEncoder: (memoryBytes) =>
        createEncoder({ memoryBytes, tempFolder: scratchFolder, ...parts }),
      connector: () => Promise.resolve(options.connector ?? connector),
      connectorHost: () => (signal, count, chunkBytesMax) => ({
        ...parts,
        resolve: (reference) => Promise.resolve(reference),
        signal,
        baseFolder: folder,
        chunkBytesMax,
        count,
        openBucket: () => Promise.reject(new Error('this source has no bucket')),
      }),
      newestCron: () => undefined,
    },
  })
  const stop = new AbortController()
  const running = serve.run(stop.signal)
  running.catch(() => undefined)
  const worker: Worker = {
    serve,
    lines,
    async stop() {
      stop.abort()
      await running
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
      await serve[Symbol.asyncDispose]()
      await coordination[Symbol.asyncDispose]()
      await client[Symbol.asyncDispose]()
      await catalog[Symbol.asyncDispose]()
    },
  }
  await until(() => Promise.resolve(serve.status().state === 'member' || undefined), 'a session')
  return worker
}

const nothing = (): void => undefined
const SILENT: ServeObserver = {
  claimed: nothing,
  released: nothing,
  tookOver: nothing,
  joined: nothing,
  sessionEnded: nothing,
  plannerChanged: nothing,
  dependencyChanged: nothing,
  queueChanged: nothing,
  committed: nothing,
  progress: nothing,
  partEnded: nothing,
  published: nothing,
}

/** The first defined answer; fails when none comes in time. */
async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const end = performance.now() + WAIT_MS
  while (performance.now() < end) {
    const found = await look()
    if (found !== undefined) return found
    await systemClock.sleep(20)
  }
  throw new Error(`waited in vain for ${what}`)
}

const SHARDS = Array.from({ length: 40 }, (_, index) => `s${String(index).padStart(2, '0')}`)
const RANKS = new Map(SHARDS.map((shard, index) => [shard, index]))
const rowsOf = (shard: string) =>
  Array.from({ length: 5 }, (_, index) => ({ id: (RANKS.get(shard) ?? 0) * 5 + index }))
const ALL = SHARDS.flatMap((shard) => rowsOf(shard).map(({ id }) => BigInt(id)))

/** Each shard once: five rows, then a cursor that says there is nothing more. */
const once = source(async function* ({ shard, cursor }) {
  if (cursor === null) yield rows(rowsOf(shard.id), { done: true })
}, SHARDS)

function assertAll(t: ExecutionContext, values: readonly unknown[]): void {
  const sorted = values.map((value) => BigInt(value as bigint)).toSorted((a, b) => Number(a - b))
  t.deepEqual(sorted, ALL)
}

test.serial(
  'two workers share the shards of a run, and every row is in the table once',
  async (t) => {
    await using cluster = await openCluster(once)
    await using one = await cluster.start('one')
    await using two = await cluster.start('two')
    const run = await cluster.ended(await cluster.run())
    t.is(run.status, 'succeeded')
    t.is(run.shardsDone, SHARDS.length)
    assertAll(t, await cluster.values())
    await until(() => {
      const [here, there] = [one.serve.status().held, two.serve.status().held]
      return Promise.resolve((here > 10 && there > 10) || undefined)
    }, 'both to hold their share')
    const placements = await cluster.catalog.placements({ pipeline: 'shop' })
    t.deepEqual(new Set(placements.map(({ worker }) => worker)).size, 2)
  },
)

test.serial('a run without news adds nothing, and ends', async (t) => {
  await using cluster = await openCluster(once)
  await using _worker = await cluster.start('one')
  await cluster.ended(await cluster.run())
  const second = await cluster.ended(await cluster.run())
  t.is(second.status, 'succeeded')
  t.is(second.counters.rowsRead, 0)
  assertAll(t, await cluster.values())
})

test.serial(
  'a worker that leaves hands everything over, and the rest finishes the run',
  async (t) => {
    const gate = Promise.withResolvers<void>()
    let begun = 0
    const slow = source(async function* ({ shard, cursor }, signal) {
      if (cursor !== null) return
      begun += 1
      await Promise.race([gate.promise, aborted(signal)])
      yield rows(rowsOf(shard.id), { done: true })
    }, SHARDS)
    await using cluster = await openCluster(slow)
    await using one = await cluster.start('one')
    const runId = await cluster.run()
    await until(() => Promise.resolve(begun > 0 || undefined), 'a shard at work')
    await using two = await cluster.start('two')
    const leaving = one.stop()
    gate.resolve()
    await leaving
    t.is(one.serve.status().held, 0)
    t.is((await cluster.ended(runId)).status, 'succeeded')
    t.true(two.serve.status().held >= SHARDS.length)
    assertAll(t, await cluster.values())
  },
)

test.serial(
  'a shard that fails for good on one worker is done by another, and holds nobody up',
  async (t) => {
    const broken = source(async function* ({ shard, cursor }) {
      if (shard.id === 's07') throw new HakiriError('SOURCE_FATAL', 'not from here')
      if (cursor === null) yield rows(rowsOf(shard.id), { done: true })
    }, SHARDS)
    await using cluster = await openCluster(once)
    await using _one = await cluster.start('one', { connector: broken })
    const runId = await cluster.run()
    await until(async () => {
      const { done } = await cluster.catalog.runProgress(runId)
      return done === SHARDS.length - 1 || undefined
    }, 'all other shards')
    // Alone, it has failed on every worker there is, or waits for another one to come.
    await using _two = await cluster.start('two')
    const run = await cluster.ended(runId)
    if (run.status !== 'succeeded') t.is((await cluster.ended(await cluster.run())).shardsFailed, 0)
    assertAll(t, await cluster.values())
  },
)

test.serial(
  'a shard that fails everywhere makes the run partial, and is quarantined after three',
  async (t) => {
    const broken = source(async function* ({ shard, cursor }) {
      if (shard.id === 's07') throw new HakiriError('SOURCE_FATAL', 'it is broken')
      if (cursor === null) yield rows(rowsOf(shard.id), { done: true })
    }, SHARDS)
    await using cluster = await openCluster(broken)
    await using _worker = await cluster.start('one')
    for (const failures of [1, 2, 3]) {
      const run = await cluster.ended(await cluster.run())
      t.is(run.status, 'partial')
      t.regex(run.error ?? '', /it is broken/)
      t.is((await cluster.catalog.shard({ pipeline: 'shop', shard: 's07' }))?.failures, failures)
    }
    const row = await cluster.catalog.shard({ pipeline: 'shop', shard: 's07' })
    t.regex(row?.quarantine ?? '', /it is broken/)
    const fourth = await cluster.ended(await cluster.run())
    t.is(fourth.status, 'succeeded')
    t.is(fourth.shardsTotal, SHARDS.length - 1)
  },
)

test.serial('a shard that is rate limited is tried again by itself, later', async (t) => {
  let refusals = 0
  const limited = source(async function* ({ shard, cursor }) {
    if (shard.id === 's03' && refusals < 2) {
      refusals += 1
      throw new HakiriError('SOURCE_RATE', 'slow down', { retryAfterMs: 50 })
    }
    if (cursor === null) yield rows(rowsOf(shard.id), { done: true })
  }, SHARDS)
  await using cluster = await openCluster(limited)
  await using _worker = await cluster.start('one')
  t.is((await cluster.ended(await cluster.run())).status, 'succeeded')
  t.is(refusals, 2)
  assertAll(t, await cluster.values())
})

test.serial(
  'labels keep a pipeline to the workers that carry them, and the reason is told',
  async (t) => {
    await using cluster = await openCluster(once, { placement: { region: 'eu' } })
    await using _plain = await cluster.start('plain')
    const runId = await cluster.run()
    const reason = await until(async () => {
      const [placement] = await cluster.catalog.placements({ pipeline: 'shop' })
      return placement?.reason ?? undefined
    }, 'a reason')
    t.regex(reason, /region/)
    await using eu = await cluster.start('eu', { labels: { region: 'eu' } })
    t.is((await cluster.ended(runId)).status, 'succeeded')
    t.true(eu.serve.status().held >= SHARDS.length)
  },
)

test.serial('a cancelled run stops at its next safe point and ends as cancelled', async (t) => {
  let begun = 0
  const endless = source(async function* ({ shard }, signal) {
    begun += 1
    await aborted(signal)
    yield rows(rowsOf(shard.id), { done: true })
  }, SHARDS)
  await using cluster = await openCluster(endless)
  await using _worker = await cluster.start('one')
  const runId = await cluster.run()
  await until(() => Promise.resolve(begun > 0 || undefined), 'a shard at work')
  t.is(await cluster.catalog.cancelRun(runId), 'asked')
  t.is((await cluster.ended(runId)).status, 'cancelled')
})

test.serial('a full refresh replaces the table in one step', async (t) => {
  await using cluster = await openCluster(once)
  await using _worker = await cluster.start('one')
  await cluster.ended(await cluster.run())
  const run = await cluster.ended(await cluster.run('full-refresh'))
  t.is(run.status, 'succeeded')
  t.is(run.counters.rowsRead, ALL.length)
  assertAll(t, await cluster.values())
})

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
