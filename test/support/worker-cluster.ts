/**
 * A cluster of real `hakiri serve` processes over a real Postgres catalog and real coordinators (ours, or
 * an etcd), pulling from an API that the test holds in its hand. Each lab has its own catalog, and so its
 * own keys in the coordinators, which labs may share. `audit` compares the table with the API row by row.
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import type { Catalog, RunRow } from '../../catalog/catalog.ts'
import { openCatalog } from '../../catalog/open.ts'
import type { CoordClient } from '../../coord/client/client.ts'
import { createCoordClient } from '../../coord/client/create.ts'
import type { ClusterView } from '../../lease/coordination.ts'
import { createCoordination } from '../../lease/create.ts'
import { createKeys } from '../../lease/keys.ts'
import { createHolderReader } from '../../lease/records.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { loadManifest } from '../../manifest/load.ts'
import { encodeManifest, hashDocument } from '../../manifest/stored.ts'
import type { CoordPlace } from '../conformance/coord-client-suite.ts'
import { assertDelta } from './delta-lint.ts'
import { folderSource, readDelta, type TableSource } from './delta-reader.ts'
import { type GatedApi, rowsOf, startGatedApi } from './gated-api.ts'
import type { Postgres } from './postgres.ts'
import { finished, HAKIRI, type Ran } from './project.ts'
import { type ServeProcess, startServe } from './serve-process.ts'
import { until } from './until.ts'

export type WorkerCluster = AsyncDisposable & {
  readonly folder: string
  readonly place: CoordPlace
  readonly catalog: Catalog
  readonly catalogUrl: string
  readonly api: GatedApi
  /** Environment of every worker that starts from now on. */
  readonly env: Record<string, string>
  /** Makes these pipelines, or the one over the API, the manifest in force; batches are sealed at this age. */
  apply(toml?: string, openTime?: string): Promise<void>
  start(name: string, how?: WorkerHow): Promise<ServeProcess>
  /** Asks for a run; gives its number. */
  run(pipeline?: string): Promise<number>
  /** Waits until the run is over. */
  ended(run: number, waitMs?: number): Promise<RunRow>
  /** Runs to the end, which must be a good one. */
  runThrough(pipeline?: string): Promise<void>
  /** The command line, beside the workers. */
  hakiri(...args: readonly string[]): Promise<Ran>
  view(): Promise<ClusterView>
  /** Who has claimed each unit since the lab was opened, one after the other. */
  claimed(): ReadonlyMap<string, readonly string[]>
  table(name?: string): TableSource
  /** The table has each row of the API once. */
  audit(t: ExecutionContext, pipeline?: string): Promise<void>
}

export type WorkerHow = {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What goes wrong in it: first argument of planted-serve.ts. */
  readonly plant?: string
  readonly command?: readonly [string, ...string[]]
}

export type LabOptions = {
  readonly postgres: Postgres
  readonly place: CoordPlace
  /** Shards of the API. */
  readonly parts?: number
  readonly rows?: number
  readonly ttlMs?: number
  /** Where tables go, instead of a folder. */
  readonly lake?: {
    /** As in hakiri.toml. */
    readonly destination: string
    readonly env: Readonly<Record<string, string>>
    table(name: string): TableSource
  }
}

const PLANTED = fileURLToPath(new URL('./planted-serve.ts', import.meta.url))
/** A worker that is silent for so long loses what it has. */
const TTL_MS = 3_000

export async function openWorkerCluster(
  t: ExecutionContext,
  options: LabOptions,
): Promise<WorkerCluster> {
  const cleaning = new AsyncDisposableStack()
  const workers: ServeProcess[] = []
  t.teardown(async () => {
    if (!t.passed) for (const line of storyOf(workers)) t.log(line)
    await cleaning[Symbol.asyncDispose]()
  })
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-workers-'))
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  const { place, parts = 8, rows = 500, ttlMs = TTL_MS } = options
  const api = cleaning.use(await startGatedApi(rows))
  const catalogUrl = await options.postgres.newDatabase()
  const host = { clock: systemClock, random: systemRandom, logger: silentLogger }
  const catalog = cleaning.use(await openCatalog(catalogUrl, host))
  const endpoints = place.members.map(({ endpoint }) => endpoint)
  const client = cleaning.use(
    createCoordClient({ endpoints, attemptMs: 2_000, readMs: 5_000 }, host),
  )
  const prefix = `hakiri/${catalog.id}/`
  const coordination = cleaning.use(
    createCoordination(client, { ...host, prefix, isAlive: () => true }),
  )
  const history = cleaning.use(followClaims(client, prefix))
  const destination =
    options.lake?.destination ?? `type = "file"\nurl = ${JSON.stringify(join(folder, 'lake'))}`
  const names = Array.from({ length: parts }, (_, part) => String(part))
  const env: Record<string, string> = { HAKIRI_CATALOG: catalogUrl, ...options.lake?.env }

  const table = (name = 'shop.events'): TableSource =>
    options.lake?.table(name) ?? folderSource(join(folder, 'lake', ...name.split('.')))
  const lab: WorkerCluster = {
    folder,
    place,
    catalog,
    catalogUrl,
    api,
    env,
    table,
    async apply(toml = apiPipeline('shop', api.url, names), openTime = '200ms') {
      const file = join(folder, 'hakiri.toml')
      const head = `version = 1\n[destination.lake]\n${destination}\npublish_interval = "200ms"\nfiles = { max_open_time = "${openTime}" }\n`
      await writeFile(file, `${head}${toml}`)
      const loaded = await loadManifest({ file })
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems, undefined, 2))
      const document = encodeManifest(loaded.manifest)
      await catalog.applyManifest(document, hashDocument(document), 'test')
    },
    async start(name, how = {}) {
      const own = join(folder, name)
      await mkdir(own, { recursive: true })
      const command =
        how.plant === undefined ? how.command : ([process.execPath, PLANTED, how.plant] as const)
      const worker = await startServe({
        name,
        folder: own,
        args: [
          '--coord',
          endpoints.join(','),
          '--session-ttl',
          `${ttlMs}ms`,
          '--slots',
          '2',
          '--memory',
          '64MB',
          ...(how.args ?? []),
        ],
        env: { ...env, ...how.env },
        ...(command === undefined ? {} : { command }),
      })
      workers.push(worker)
      return cleaning.use(worker)
    },
    async run(pipeline = 'shop') {
      const manifest = await catalog.manifest()
      const admission = await catalog.requestRun({
        pipeline,
        kind: 'run',
        request: { kind: 'run', fullRefresh: false },
        trigger: 'manual',
        fireKey: null,
        scheduledAt: Date.now(),
        overlap: 'queue',
        manifestVersion: manifest?.version ?? 0,
        by: 'test',
      })
      return admission.runId
    },
    ended: (run, waitMs) =>
      until(
        `run ${run} ends`,
        async () => {
          const row = await catalog.run(run)
          return row && row.endedAt !== null ? row : undefined
        },
        waitMs,
        async () => JSON.stringify([await catalog.run(run), await catalog.runProgress(run)]),
      ),
    async runThrough(pipeline) {
      const row = await lab.ended(await lab.run(pipeline))
      if (row.status !== 'succeeded')
        throw new Error(`the run ended as ${row.status}: ${row.error}`)
    },
    hakiri: (...args) =>
      finished(
        spawn(HAKIRI, args, {
          cwd: folder,
          env: { ...process.env, NO_COLOR: '1', ...env },
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      ),
    claimed: () => history.claimed,
    view: () => coordination.view(AbortSignal.timeout(10_000)),
    audit: (t, pipeline = 'shop') => auditRows(t, table(`${pipeline}.events`), names, api.rows),
    [Symbol.asyncDispose]: () => cleaning[Symbol.asyncDispose](),
  }
  return lab
}

/** Every claim from now on: the coordinator shows each change once (K2), so none is missed. */
function followClaims(
  client: CoordClient,
  prefix: string,
): AsyncDisposable & { readonly claimed: ReadonlyMap<string, readonly string[]> } {
  const claimed = new Map<string, string[]>()
  const keys = createKeys(prefix)
  const holderOf = createHolderReader()
  const ended = new AbortController()
  const follow = async (): Promise<void> => {
    await using watcher = client.watch(keys.all.key, {
      rangeEnd: keys.all.rangeEnd,
      signal: ended.signal,
    })
    for await (const batch of watcher) {
      for (const { kv } of batch.kind === 'events' ? batch.events : []) {
        const meaning = kv ? keys.read(kv.key) : undefined
        if (!kv || meaning?.kind !== 'claim' || kv.createRevision !== kv.modRevision) continue
        claimed.set(meaning.unit, [...(claimed.get(meaning.unit) ?? []), holderOf(kv.value)])
      }
    }
  }
  const following = follow().catch(() => undefined)
  return {
    claimed,
    async [Symbol.asyncDispose]() {
      ended.abort()
      await following
    },
  }
}

/** A pipeline over the API, one shard for each part. */
export function apiPipeline(
  name: string,
  url: string,
  parts: readonly string[],
  more: { readonly pipeline?: string; readonly source?: string } = {},
): string {
  return `
[pipelines.${name}]
mode = "incremental"
write = { mode = "append", cursor = "id" }
destination = "lake"
retries = { max = 8, backoff = "100ms..1s" }
${more.pipeline ?? ''}
[pipelines.${name}.source]
type = "http"
base = "${url}"
${more.source ?? ''}
[pipelines.${name}.source.streams.events]
path = "/${name}/{part}"
records = "/items"
paging = { type = "cursor", next = "/next", param = "cursor" }
each = { part = [${parts.map((part) => `"${part}"`).join(', ')}] }
cursor_param = "since"
`
}

async function auditRows(
  t: ExecutionContext,
  table: TableSource,
  parts: readonly string[],
  rows: number,
): Promise<void> {
  await assertDelta(table)
  const seen = new Map<number, string>()
  const doubled: number[] = []
  for await (const row of (await readDelta(table)).rows()) {
    const id = Number(row['id'])
    if (seen.has(id)) doubled.push(id)
    seen.set(id, JSON.stringify([row['part'], row['note']]))
  }
  let expected = 0
  const lost: number[] = []
  for (const part of parts)
    for (const { id, note } of rowsOf(part, rows)) {
      expected += 1
      if (seen.get(id) !== JSON.stringify([part, note])) lost.push(id)
    }
  t.deepEqual(
    { lost: lost.slice(0, 5), doubled: doubled.slice(0, 5), extra: seen.size - expected },
    { lost: [], doubled: [], extra: 0 },
  )
}

/** What all of them said, in order of time, for a test that failed. */
function storyOf(workers: readonly ServeProcess[]): readonly string[] {
  const said = workers.flatMap((worker) =>
    worker.lines().map((line) => ({
      at: JSON.stringify(line['time']),
      text: `${worker.name} ${JSON.stringify(line)}`,
    })),
  )
  return said.toSorted((a, b) => (a.at < b.at ? -1 : 1)).map(({ text }) => text)
}

/** Lines that the worker says from now on. */
export function sayingFrom(worker: ServeProcess): ServeProcess['until'] {
  const before = new Set(worker.lines())
  return (fits, what, waitMs) =>
    worker.until((line) => !before.has(line) && fits(line), what, waitMs)
}
