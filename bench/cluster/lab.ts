/**
 * A whole cluster of real processes on this machine: coordinators as the bundle runs them, workers as the
 * clone runs them, a real Postgres with fsync on as catalog. Each has a folder of its own; all are gone
 * when the lab is disposed of.
 */
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Catalog, RunRow } from '../../catalog/catalog.ts'
import { openCatalog } from '../../catalog/open.ts'
import { createCoordClient } from '../../coord/client/create.ts'
import type { Coordination } from '../../lease/coordination.ts'
import { createCoordination } from '../../lease/create.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { type CoordCluster, startCoordCluster } from '../../test/support/coord-cluster.ts'
import { type Postgres, startPostgres } from '../../test/support/postgres.ts'
import { type ServeProcess, startServe } from '../../test/support/serve-process.ts'
import { requestRun } from '../../worker/operate.ts'
import { bundleHakiri, RUNTIME_ENV } from '../coord/contenders.ts'
import { measure } from '../measure.ts'

export const HAKIRI = fileURLToPath(new URL('../../hakiri', import.meta.url))
const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
const POLL_MS = 20
const RUN_MS_MAX = 300_000

export type Worker = ServeProcess & { readonly folder: string }

export type Lab = AsyncDisposable & {
  readonly folder: string
  readonly coordinators: CoordCluster
  readonly postgres: Postgres
  readonly catalogUrl: string
  readonly catalog: Catalog
  /** Connected to the catalog's tables. */
  readonly sql: pg.Pool
  readonly coordination: Coordination
  readonly workers: readonly Worker[]
  addWorker(name: string, args?: readonly string[]): Promise<Worker>
  dropWorker(worker: Worker): Promise<void>
  /** The command line in the folder of the manifest; gives its result with --json. */
  hakiri(...args: readonly string[]): Promise<unknown>
  /** Writes hakiri.toml and applies it. */
  apply(manifest: string): Promise<void>
  /** Asks for a run; resolves with its number. */
  start(pipeline: string): Promise<number>
  /** Polls the run until `isSo` holds. */
  untilRun(id: number, isSo: (run: RunRow) => boolean, waitMs?: number): Promise<RunRow>
  pids(): Readonly<Record<string, readonly number[]>>
}

export type LabOptions = { readonly coordinators?: number }

export async function startLab(options: LabOptions = {}): Promise<Lab> {
  await using cleaning = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bench-'))
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  const postgres = cleaning.use(await startPostgres({ fsync: true }))
  const command = await bundleHakiri()
  const coordinators = cleaning.use(
    await startCoordCluster({ members: options.coordinators ?? 3, command, env: RUNTIME_ENV }),
  )
  const catalogUrl = await postgres.newDatabase()
  const catalog = cleaning.use(await openCatalog(catalogUrl, PARTS))
  const sql = new pg.Pool({ connectionString: catalogUrl, options: '-c search_path=hakiri' })
  cleaning.defer(() => sql.end())
  const { endpoints } = coordinators
  const client = cleaning.use(
    createCoordClient({ endpoints, attemptMs: 2_000, readMs: 5_000 }, PARTS),
  )
  const prefix = `hakiri/${catalog.id}/`
  const coordination = cleaning.use(
    createCoordination(client, { ...PARTS, prefix, isAlive: () => true }),
  )
  const workers: Worker[] = []
  cleaning.defer(
    async () => void (await Promise.all(workers.map((each) => each.signal('SIGKILL')))),
  )
  const own = cleaning.move()

  async function addWorker(name: string, args: readonly string[] = []): Promise<Worker> {
    const place = join(folder, `worker-${name}`)
    await mkdir(place, { recursive: true })
    const started = await startServe({
      name,
      folder: place,
      args: ['--coord', endpoints.join(','), '--catalog', catalogUrl, ...args],
    })
    const worker = { ...started, folder: place }
    workers.push(worker)
    return worker
  }

  async function untilRun(
    id: number,
    isSo: (run: RunRow) => boolean,
    waitMs = RUN_MS_MAX,
  ): Promise<RunRow> {
    const end = performance.now() + waitMs
    for (;;) {
      const run = await catalog.run(id)
      if (!run) throw new Error(`run ${id} is gone`)
      if (isSo(run)) return run
      if (performance.now() > end)
        throw new Error(`run ${id} is ${run.status} after ${waitMs} ms\n${logOf(workers)}`)
      await delay(POLL_MS)
    }
  }

  const project = join(folder, 'project')
  await mkdir(project, { recursive: true })
  async function hakiri(...args: readonly string[]): Promise<unknown> {
    const command = [HAKIRI, ...args, '--json', '--catalog', catalogUrl]
    const { stdout } = await measure(command, { cwd: project, env: process.env })
    return (JSON.parse(stdout) as { readonly result: unknown }).result
  }

  return {
    folder,
    coordinators,
    postgres,
    catalogUrl,
    catalog,
    sql,
    coordination,
    workers,
    addWorker,
    async dropWorker(worker) {
      workers.splice(workers.indexOf(worker), 1)
      await worker.signal('SIGTERM')
    },
    hakiri,
    async apply(manifest) {
      await writeFile(join(project, 'hakiri.toml'), manifest)
      await hakiri('apply')
    },
    async start(pipeline) {
      const by = { catalog, clock: systemClock, by: 'bench' }
      return (await requestRun(by, { pipeline, fullRefresh: false, overlap: 'queue' })).runId
    },
    untilRun,
    pids: () => ({
      coordinators: coordinators.members.map((member) => member.pid() ?? 0),
      workers: workers.map((worker) => worker.pid() ?? 0),
      postgres: [postgresPid(postgres)],
    }),
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  }
}

/** The last that the workers said. */
function logOf(workers: readonly Worker[]): string {
  return workers
    .flatMap((worker) =>
      worker
        .lines()
        .slice(-20)
        .map((line) => `${worker.name} ${JSON.stringify(line)}`),
    )
    .join('\n')
}

/** The postmaster; its backends are below it. */
export function postgresPid({ dataFolder }: Postgres): number {
  if (dataFolder === undefined) throw new Error('unset PGURL: the server has to be of this bench')
  return Number.parseInt(readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8'), 10)
}

export const isOver = ({ status }: RunRow): boolean =>
  !['queued', 'running', 'finishing'].includes(status)

/** Throws unless the run succeeded. */
export function mustSucceed(run: RunRow): RunRow {
  if (run.status !== 'succeeded') throw new Error(`run ${run.id}: ${run.status}, ${run.error}`)
  return run
}

/** Until the planner has placed what it should, and every worker holds what it was given. */
export async function untilSettled(
  { coordination }: Lab,
  units: number,
  workers: number,
  waitMs = 120_000,
): Promise<void> {
  const signal = AbortSignal.timeout(waitMs)
  for (;;) {
    const { members, claims, assignments } = await coordination.view(signal)
    const isHeld = [...assignments].every(([unit, worker]) => claims.get(unit) === worker)
    if (members.size === workers && claims.size >= units && assignments.size >= units && isHeld)
      return
    await delay(POLL_MS)
  }
}
