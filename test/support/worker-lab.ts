/**
 * A worker without a command line: a real catalog (SQLite), store (folder) and encoder process, and a
 * source whose every event is the test's. Each part can be wrapped to do what real ones do at bad times.
 */
import { mkdtemp, mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Catalog } from '../../catalog/catalog.ts'
import { openCatalog } from '../../catalog/open.ts'
import type {
  Connector,
  OpenRequest,
  SourceEvent,
  SourceShard,
  SourceTable,
} from '../../connector/connector.ts'
import type { Json } from '../../lib/json.ts'
import { DEFAULT_SCHEMA_POLICY } from '../../lib/policy.ts'
import type { Logger } from '../../lib/ports.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import type { Destination, Pipeline } from '../../manifest/manifest.ts'
import { createEncoder } from '../../sink/encoder/create.ts'
import { openStore } from '../../sink/store/open.ts'
import type { ConnectorHost, ProgressEvent, WorkerDeps } from '../../worker/deps.ts'
import type { RunRequest } from '../../worker/prepare.ts'
import { runPipeline, type RunSummary } from '../../worker/run-pipeline.ts'
import { folderSource, readDelta, type TableSource } from './delta-reader.ts'

export type Lab = AsyncDisposable & {
  readonly folder: string
  readonly deps: WorkerDeps
  readonly catalog: Catalog
  readonly progress: ProgressEvent[]
  readonly table: (name: string) => TableSource
  run(source: Connector, options?: RunOptions): Promise<RunSummary>
}

export type RunOptions = {
  readonly pipeline?: Partial<Pipeline>
  readonly destination?: Partial<Omit<Destination, 'files'>> & {
    readonly files?: Partial<Destination['files']>
  }
  readonly request?: RunRequest
  readonly deps?: Partial<WorkerDeps>
  readonly stop?: AbortSignal
  /** A batch is sealed at this size. */
  readonly batchBytesMax?: number
}

export const RUN: RunRequest = { kind: 'run', fullRefresh: false, shard: undefined }

/** Where a lab lies when it is not a folder and a SQLite file of its own. */
export type LabPlace = {
  readonly catalogUrl?: string | undefined
  /** Stays when the lab is closed. */
  readonly folder?: string
}

export async function openLab(logger: Logger = silentLogger, place: LabPlace = {}): Promise<Lab> {
  const folder = place.folder ?? (await mkdtemp(join(tmpdir(), 'hakiri-worker-')))
  const [scratchFolder, lake] = [join(folder, 'scratch'), join(folder, 'lake')]
  await mkdir(scratchFolder, { recursive: true })
  const host = { clock: systemClock, random: systemRandom, logger }
  const catalog = await openCatalog(place.catalogUrl ?? join(folder, 'catalog.db'), host)
  const store = await openStore({ type: 'file', url: lake }, host)
  const encoder = await createEncoder({ memoryBytes: 256e6, tempFolder: scratchFolder, ...host })
  const progress: ProgressEvent[] = []
  const deps: WorkerDeps = {
    ...host,
    catalog,
    store,
    encoder,
    scratchFolder,
    worker: 'lab',
    engine: 'hakiri/test',
    onProgress: (event) => void progress.push(event),
  }
  return {
    folder,
    deps,
    catalog,
    progress,
    table: (name) => folderSource(join(lake, name.replaceAll('.', '/'))),
    run: (source, options = {}) => runIn(folder, deps, source, options),
    async [Symbol.asyncDispose]() {
      await encoder[Symbol.asyncDispose]()
      await catalog[Symbol.asyncDispose]()
      if (place.folder === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

function runIn(
  folder: string,
  deps: WorkerDeps,
  connector: Connector,
  options: RunOptions,
): Promise<RunSummary> {
  return runPipeline(
    {
      connector,
      pipeline: { ...PIPELINE, ...options.pipeline },
      destination: {
        ...DESTINATION,
        ...options.destination,
        files: { ...DESTINATION.files, ...options.destination?.files },
      },
      request: options.request ?? RUN,
      batchBytesMax: options.batchBytesMax ?? 1e6,
      host: hostOf(folder, deps.logger),
    },
    { ...deps, ...options.deps },
    options.stop ?? new AbortController().signal,
  )
}

/** The world of a source in the lab: files lie in the lab's folder, and there is no bucket. */
export function hostOf(folder: string, logger: Logger): ConnectorHost {
  return (signal, count, chunkBytesMax) => ({
    resolve: (reference) => Promise.resolve(reference),
    clock: systemClock,
    random: systemRandom,
    logger,
    signal,
    baseFolder: folder,
    chunkBytesMax,
    count,
    openBucket: () => Promise.reject(new Error('this source has no bucket')),
  })
}

/** What a test changes only where it matters. */
export const PIPELINE: Pipeline = {
  name: 'shop',
  source: { type: 'github', options: null },
  mode: 'incremental',
  shardBy: { kind: 'table' },
  schedule: undefined,
  placement: {},
  destination: 'lake',
  write: { mode: 'append', key: [], cursor: 'id', lag: undefined },
  partitionBy: [],
  schema: DEFAULT_SCHEMA_POLICY,
  types: {},
  tables: {},
  quarantine: { rowsMax: 1_000, ratioMax: 1 },
  retries: { retriesMax: 3, firstMs: 1, mostMs: 2 },
  memoryBytes: 64e6,
  limits: { concurrency: 2, requestsPerHour: undefined, requestsPerSecond: undefined },
}

export const DESTINATION: Destination = {
  name: 'lake',
  type: 'file',
  url: 'lake',
  endpoint: undefined,
  region: 'us-east-1',
  credentials: undefined,
  format: 'delta',
  publishIntervalMs: 30_000,
  files: {
    targetBytes: 192e6,
    openMsMax: 300_000,
    compactMinFiles: 16,
    compactCron: undefined,
    retainMs: 7 * 86_400_000,
  },
}

/** Rows as one event, with the cursor that stands behind them. */
export function rows(values: readonly Json[], cursor?: Json): SourceEvent {
  const bytes = new TextEncoder().encode(
    values.map((value) => `${JSON.stringify(value)}\n`).join(''),
  )
  return { kind: 'rows', format: 'ndjson', bytes, rows: values.length, cursor }
}

export type Reader = (request: OpenRequest, signal: AbortSignal) => AsyncIterable<SourceEvent>

/** A source with one table of these shards, each read by `read`. */
export function source(read: Reader, shards: readonly string[] = ['all']): Connector {
  const table: SourceTable = {
    name: 'orders',
    columns: undefined,
    key: ['id'],
    rowsEstimate: undefined,
  }
  return {
    type: 'fake',
    describe: () => Promise.resolve([table]),
    check: () => Promise.resolve([]),
    shards: () =>
      Promise.resolve(
        shards.map((id): SourceShard => ({ id, table: 'orders', spec: { id }, rowsEstimate: 1 })),
      ),
    open: (context, request) => read(request, context.signal),
  }
}

/** The values of one column of all rows, in order of size. */
export async function valuesOf(table: TableSource, column: string): Promise<readonly unknown[]> {
  const found: unknown[] = []
  for await (const row of (await readDelta(table)).rows()) found.push(row[column])
  return found.toSorted((a, b) => (String(a) < String(b) ? -1 : 1))
}
