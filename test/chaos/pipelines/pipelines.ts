/**
 * The pipelines of a chaos run: Postgres for catalog and source, an API and a bucket, each on a host of
 * its own; traffic over them; and the audit of what came of it. Coordinators, workers and faults are the
 * caller's. Whoever drives the run reaches all of it through sockets in `folder`, never over the links.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Catalog } from '../../../catalog/catalog.ts'
import { openCatalog } from '../../../catalog/open.ts'
import type { Clock } from '../../../lib/ports.ts'
import { systemRandom } from '../../../lib/system/clock.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import { loadManifest } from '../../../manifest/load.ts'
import { encodeManifest, hashDocument } from '../../../manifest/stored.ts'
import { freePorts } from '../../support/free-ports.ts'
import type { Host, Lab } from '../hosts/lab.ts'
import type { ApiFaults, ApiState } from './api-server.ts'
import type { BucketMood, BucketState } from './bucket-server.ts'
import { control } from './control.ts'
import { createHostProgram, type HostProgram } from './host-program.ts'
import { type HostPostgres, startHostPostgres } from './host-postgres.ts'
import type { LivenessFacts } from './liveness.ts'
import { KEYS_VARIABLE, manifestText, SOURCE_VARIABLE } from './manifest.ts'
import { createSources, startWriters } from './sources.ts'
import { installTrail } from './trail.ts'
import { settle, type SettleOptions, startRequests } from './workload.ts'

export type PipelinesOptions = {
  readonly lab: Pick<Lab, 'addHost'>
  /** Exists, is empty, and is short enough for the path of a socket. */
  readonly folder: string
  /** Names of all workers that will ever write. */
  readonly workers: readonly string[]
  readonly seed: number
  readonly clock: Clock
  /** In [0, 1): what is asked for, and which rows change. */
  readonly random: () => number
  readonly sizes?: Partial<Sizes>
}

export type Sizes = {
  /** Shards of the API. */
  readonly parts: number
  readonly partRowsFirst: number
  readonly partRowsPerS: number
  readonly ledgerRowsPerS: number
  readonly ticketsPerS: number
}

export type Pipelines = AsyncDisposable & {
  readonly folder: string
  readonly seed: number
  readonly sizes: Sizes
  readonly catalog: Catalog
  /** Environment of `hakiri serve` under this name: catalog, source and keys. */
  env(worker: string): Readonly<Record<string, string>>
  readonly catalogPostgres: HostPostgres
  readonly sourcePostgres: HostPostgres
  readonly api: ApiProgram
  readonly bucket: BucketProgram
  /** Sources begin to change, runs are asked for. */
  start(): Promise<void>
  /**
   * When all faults are over and every program is up: stops the changes, asks for the last runs and waits
   * for them. Tables are fixed from then on.
   */
  settle(about: Pick<SettleOptions, 'up' | 'sourceFaults' | 'withinMs'>): Promise<LivenessFacts>
  /** For people: how much was asked and written. */
  summary(): Readonly<Record<string, number>>
}

export type ApiProgram = HostProgram & {
  /** As hosts reach it. */
  readonly url: string
  faults(faults: ApiFaults): Promise<void>
  state(): Promise<ApiState>
}

export type BucketProgram = HostProgram & {
  /** As hosts reach it. */
  readonly url: string
  mood(mood: BucketMood): Promise<void>
  state(): Promise<BucketState>
  /** Where its objects lie. */
  readonly folder: string
}

const SIZES: Sizes = {
  parts: 32,
  partRowsFirst: 40,
  partRowsPerS: 3,
  ledgerRowsPerS: 200,
  ticketsPerS: 30,
}
/** What the S3 server knows its clients by. */
const KEYS = {
  [`${KEYS_VARIABLE}_ACCESS_KEY_ID`]: 'stub-access-key',
  [`${KEYS_VARIABLE}_SECRET_ACCESS_KEY`]: 'stub-secret-key',
}
const API_PAGE_ROWS = 25

/** Everything is up, the manifest is in force, and nothing moves yet. */
export async function startPipelines(options: PipelinesOptions): Promise<Pipelines> {
  const { lab, folder, clock, seed } = options
  const sizes = { ...SIZES, ...options.sizes }
  await using cleaning = new AsyncDisposableStack()
  // Postgres is another user, who has to pass through.
  await chmod(folder, 0o755)
  const ports = await freePorts(4)
  const [catalogHost, sourceHost, apiHost, bucketHost] = await Promise.all(
    (['catalog', 'source', 'api', 'bucket'] as const).map((name) => lab.addHost(name)),
  )
  const [catalogPort = 0, sourcePort = 0, apiPort = 0, bucketPort = 0] = ports
  const postgres = async (host: Host, port: number, database: string) => {
    const own = join(folder, `${database}-db`)
    await mkdir(own)
    return startHostPostgres({ host, port, folder: own, database, clock })
  }
  const catalogPostgres = cleaning.use(await postgres(catalogHost!, catalogPort, 'catalog'))
  const sourcePostgres = cleaning.use(await postgres(sourceHost!, sourcePort, 'source'))
  const api = cleaning.use(startApi(options, sizes, apiHost!, apiPort))
  const bucket = cleaning.use(await startBucket(options, bucketHost!, bucketPort))
  await Promise.all([api.up(), bucket.up(), createSources(sourcePostgres.localUrl)])
  const parts = { clock, random: systemRandom, logger: silentLogger }
  const catalog = cleaning.use(await openCatalog(catalogPostgres.localUrl, parts))
  await installTrail(catalogPostgres.localUrl, options.workers)
  await applyManifest(catalog, folder, {
    apiUrl: api.url,
    bucketUrl: bucket.url,
    parts: sizes.parts,
  })
  const env = (worker: string) => ({
    HAKIRI_CATALOG: catalogPostgres.url(worker),
    [SOURCE_VARIABLE]: sourcePostgres.url(),
    ...KEYS,
  })
  const traffic = createTraffic(options, sizes, { api, catalog, sourcePostgres })
  cleaning.defer(() => traffic.stop())
  const owned = cleaning.move()
  return {
    folder,
    seed,
    sizes,
    catalog,
    env,
    catalogPostgres,
    sourcePostgres,
    api,
    bucket,
    start: () => traffic.start(),
    async settle(about) {
      await traffic.stop()
      await Promise.all([
        api.faults({}),
        bucket.mood({}),
        control(controlOf(folder, 'api'), '/stop'),
      ])
      return settle({ ...about, catalog, clock })
    },
    summary: () => traffic.summary(),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

type Traffic = {
  start(): Promise<void>
  stop(): Promise<void>
  summary(): Readonly<Record<string, number>>
}

function createTraffic(
  { clock, random, folder }: PipelinesOptions,
  { ledgerRowsPerS, ticketsPerS }: Sizes,
  { catalog, sourcePostgres }: Pick<Pipelines, 'catalog' | 'sourcePostgres' | 'api'>,
): Traffic {
  let running: {
    readonly writers: ReturnType<typeof startWriters>
    readonly requests: ReturnType<typeof startRequests>
  }[] = []
  const count = { asked: 0, askedInVain: 0, written: 0, writtenInVain: 0 }
  return {
    async start() {
      await control(controlOf(folder, 'api'), '/start')
      const url = sourcePostgres.localUrl
      const writers = startWriters({ url, clock, random, ledgerRowsPerS, ticketsPerS })
      running.push({ writers, requests: startRequests({ catalog, clock, random }) })
    },
    async stop() {
      const stopped = running
      running = []
      for (const { writers, requests } of stopped) {
        await Promise.all([writers.stop(), requests.stop()])
        count.asked += requests.done().asked
        count.askedInVain += requests.done().failed
        count.written += writers.done().written
        count.writtenInVain += writers.done().failed
      }
    },
    summary: () => ({ ...count }),
  }
}

function controlOf(folder: string, name: 'api' | 'bucket'): string {
  return join(folder, `${name}.sock`)
}

function programPath(name: 'api-server' | 'bucket-server'): string {
  const urls = {
    'api-server': new URL('./api-server.ts', import.meta.url),
    'bucket-server': new URL('./bucket-server.ts', import.meta.url),
  }
  return fileURLToPath(urls[name])
}

function startApi(
  { folder, seed, clock }: PipelinesOptions,
  { parts, partRowsFirst, partRowsPerS }: Sizes,
  host: Host,
  port: number,
): ApiProgram {
  const place = controlOf(folder, 'api')
  const program = createHostProgram({
    host,
    name: 'api',
    program: process.execPath,
    args: [
      programPath('api-server'),
      `--address=${host.address}`,
      `--port=${port}`,
      `--control=${place}`,
      `--state=${join(folder, 'api.json')}`,
      `--seed=${seed}`,
      `--parts=${parts}`,
      `--base=${partRowsFirst}`,
      `--per-second=${partRowsPerS}`,
      `--page=${API_PAGE_ROWS}`,
    ],
    look: () => control(place, '/state'),
    clock,
  })
  return {
    ...program,
    url: `http://${host.address}:${port}`,
    faults: async (faults) => void (await control(place, '/faults', faults)),
    state: async () => (await control(place, '/state')) as ApiState,
  }
}

async function startBucket(
  { folder, seed, clock }: PipelinesOptions,
  host: Host,
  port: number,
): Promise<BucketProgram> {
  const place = controlOf(folder, 'bucket')
  const objects = join(folder, 'bucket')
  await mkdir(objects)
  const program = createHostProgram({
    host,
    name: 'bucket',
    program: process.execPath,
    args: [
      programPath('bucket-server'),
      `--address=${host.address}`,
      `--port=${port}`,
      `--control=${place}`,
      `--folder=${objects}`,
      `--seed=${seed}`,
    ],
    look: () => control(place, '/state'),
    clock,
  })
  return {
    ...program,
    url: `http://${host.address}:${port}`,
    mood: async (mood) => void (await control(place, '/mood', mood)),
    state: async () => (await control(place, '/state')) as BucketState,
    folder: objects,
  }
}

async function applyManifest(
  catalog: Catalog,
  folder: string,
  places: Parameters<typeof manifestText>[0],
): Promise<void> {
  const file = join(folder, 'hakiri.toml')
  await writeFile(file, manifestText(places))
  const loaded = await loadManifest({ file })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems, undefined, 2))
  const document = encodeManifest(loaded.manifest)
  await catalog.applyManifest(document, hashDocument(document), 'chaos')
}
