/**
 * `npm run demo`: a cluster on this machine. Three coordinators, three workers and a Postgres, all real
 * processes; three million real flights, pulled by a sharded pipeline; the busiest worker and then the
 * leading coordinator are killed half-way; at the end the table is compared with its source row by row.
 * `--keep` leaves everything up until Ctrl-C and says what to try.
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Catalog } from '../../catalog/catalog.ts'
import { openCatalog } from '../../catalog/open.ts'
import { type AdminClient, createAdminClient } from '../../coord/client/admin.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { type CoordCluster, startCoordCluster } from '../support/coord-cluster.ts'
import { startPostgres } from '../support/postgres.ts'
import { HAKIRI } from '../support/project.ts'
import { type ServeProcess, startServe } from '../support/serve-process.ts'
import { loadFlights } from './flights.ts'
import { auditFlights } from './verify.ts'
import { lineOf, look, type Look } from './watch.ts'

const PIPELINE = 'us'
const WORKERS = ['worker-1', 'worker-2', 'worker-3']
const QUESTION = `
  select origin as airport, count(*) as departures, round(avg(delay), 1) as mean_delay_minutes
  from flights group by all order by departures desc limit 5`
/** Short, so that the demo is: a worker that was killed is missed after this. */
const SESSION_TTL = '3s'
const LOOK_MS = 100
const RUN_MS_MAX = 80_000

type Scene = {
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  readonly sourceUrl: string
  readonly catalog: Catalog
  readonly coordinators: CoordCluster
  readonly admin: AdminClient
  readonly workers: readonly ServeProcess[]
}

await main()

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-demo-'))
  await using cleaning = new AsyncDisposableStack()
  cleaning.defer(() => rm(folder, { recursive: true, force: true }))
  const scene = await setUp(folder, cleaning)
  await show(['apply'], scene)
  const takeover = await runThroughKills(scene)
  await show(['runs'], scene)
  await show(['query', QUESTION], scene)
  await verify(scene, takeover)
  if (process.argv.includes('--keep')) await keep(scene)
}

async function setUp(folder: string, cleaning: AsyncDisposableStack): Promise<Scene> {
  say('Starting Postgres, 3 coordinators and 3 workers, each a process of its own')
  const postgres = cleaning.use(await startPostgres())
  const [sourceUrl, catalogUrl, coordinators] = await Promise.all([
    postgres.newDatabase('shop'),
    postgres.newDatabase('catalog'),
    startCoordCluster({ members: 3 }),
  ])
  cleaning.use(coordinators)
  await writeFile(join(folder, 'hakiri.toml'), manifest(folder))
  const env = { ...process.env, SHOP_DB: sourceUrl, HAKIRI_CATALOG: catalogUrl }
  const parts = { clock: systemClock, random: systemRandom, logger: silentLogger }
  const catalog = cleaning.use(await openCatalog(catalogUrl, parts))
  const config = { endpoints: coordinators.endpoints, attemptMs: 1_000, readMs: 1_000 }
  const admin = cleaning.use(createAdminClient(config, parts))
  const workers = await Promise.all(
    WORKERS.map((name) => startWorker(name, folder, env, coordinators)),
  )
  for (const worker of workers) cleaning.use(worker)
  say('Loading 3,000,000 flights (US DOT, from the vega-datasets package) into the Postgres')
  await loadFlights(sourceUrl, folder)
  return { folder, env, sourceUrl, catalog, coordinators, admin, workers }
}

async function startWorker(
  name: string,
  folder: string,
  env: NodeJS.ProcessEnv,
  { endpoints }: CoordCluster,
): Promise<ServeProcess> {
  const own = join(folder, name)
  await mkdir(own)
  const coord = ['--coord', endpoints.join(','), '--session-ttl', SESSION_TTL, '--slots', '2']
  return startServe({ name, folder: own, args: coord, env: env as Record<string, string> })
}

/** Paths are absolute: each worker has a folder of its own. */
function manifest(folder: string): string {
  return `version = 1

[destination.lake]
type = "file"
url = ${JSON.stringify(join(folder, 'lake'))}
publish_interval = "2s"

[pipelines.${PIPELINE}]
source = { type = "postgres", url = "env:SHOP_DB", tables = ["flights"] }
mode = "incremental"
shard_by = { key = "id", ranges = 48 }
write = { mode = "append", cursor = "id" }
destination = "lake"
`
}

type Kill = { readonly worker: string; readonly shards: readonly string[]; readonly at: number }

/** Runs the pipeline; kills twice; returns the time until a shard of the killed worker was committed elsewhere. */
async function runThroughKills(scene: Scene): Promise<number | undefined> {
  const { catalog, admin, coordinators, workers } = scene
  await show(['run', PIPELINE, '--cluster'], scene)
  const [run] = await catalog.openRuns()
  if (!run) throw new Error('the run was not asked for')
  const names = new Map(
    coordinators.endpoints.map((endpoint, index) => [endpoint, `coord-${index + 1}`]),
  )
  const began = performance.now()
  const seconds = (): number => (performance.now() - began) / 1_000
  let shownAt = Number.NEGATIVE_INFINITY
  let killed: Kill | undefined
  let leaderKilled = false
  let takeover: number | undefined
  for (;;) {
    if (performance.now() - began > RUN_MS_MAX) throw new Error('the run did not end in time')
    const seen = await look(run.id, PIPELINE, catalog, admin, coordinators.endpoints)
    const { status } = (await catalog.run(run.id)) ?? run
    if (seconds() - shownAt >= 1) {
      shownAt = seconds()
      process.stdout.write(`${lineOf(seconds(), seen, names)}\n`)
    }
    if (status !== 'queued' && status !== 'running' && status !== 'finishing') break
    if (!killed && seen.total > 0 && seen.done >= seen.total / 4)
      killed = await killBusiest(seen, workers)
    if (killed && takeover === undefined) takeover = await takenOver(killed, catalog)
    // After the takeover: a new leader gives every lease its full time again, which would be part of it.
    const isHalfWay = seen.done >= seen.total / 2 && takeover !== undefined
    if (!leaderKilled && isHalfWay && seen.leader !== 'nobody') {
      leaderKilled = true
      note(`SIGKILL to ${names.get(seen.leader)}, which leads`)
      await coordinators.members.find(({ endpoint }) => endpoint === seen.leader)?.signal('SIGKILL')
    }
    await systemClock.sleep(LOOK_MS)
  }
  if (!killed || !leaderKilled) throw new Error('the run ended before anybody was killed')
  return takeover
}

async function killBusiest(seen: Look, workers: readonly ServeProcess[]): Promise<Kill> {
  const [worker = '', shards = []] =
    [...seen.pending].toSorted(([, a], [, b]) => b.length - a.length)[0] ?? []
  note(`SIGKILL to ${worker}, the busiest: ${shards.length} shards to go`)
  const at = performance.now()
  await workers.find(({ name }) => name === worker)?.signal('SIGKILL')
  return { worker, shards, at }
}

/** Milliseconds from the kill to now, once somebody else has committed for a shard of the killed worker. */
async function takenOver(killed: Kill, catalog: Catalog): Promise<number | undefined> {
  const rows = await catalog.shards(PIPELINE)
  const moved = rows.some(
    ({ shard, holder, cursor }) =>
      killed.shards.includes(shard) &&
      holder !== null &&
      holder !== killed.worker &&
      cursor !== null,
  )
  return moved ? performance.now() - killed.at : undefined
}

async function verify(scene: Scene, takeoverMs: number | undefined): Promise<void> {
  say('Comparing the table with Postgres, row by row')
  const audit = await auditFlights(
    scene.sourceUrl,
    join(scene.folder, 'lake', PIPELINE, 'flights'),
    scene.folder,
  )
  const takeover = takeoverMs === undefined ? 'none seen' : `${(takeoverMs / 1_000).toFixed(1)} s`
  const { source, table, lost, doubled } = audit
  say(
    `${table.toLocaleString('en')} rows, lost ${lost}, doubled ${doubled}, takeover ${takeover} (session TTL ${SESSION_TTL})`,
  )
  if (lost !== 0 || doubled !== 0 || source !== table || takeoverMs === undefined)
    throw new Error(`the table differs from its source: ${JSON.stringify(audit)}`)
}

async function keep({ folder, env, workers, coordinators }: Scene): Promise<void> {
  const alive = workers.filter((worker) => worker.pid() !== undefined)
  say('Everything stays up until Ctrl-C. In another terminal, try:')
  process.stdout
    .write(`  cd ${folder} && export HAKIRI_CATALOG=${env['HAKIRI_CATALOG']} SHOP_DB=${env['SHOP_DB']}
  ${HAKIRI} ps                              # runs at work
  ${HAKIRI} shards                          # who holds what, and why
  ${HAKIRI} drain ${alive[0]?.name}                  # hand its shards over
  ${HAKIRI} run ${PIPELINE} --cluster --wait          # only what is new
  ${HAKIRI} ctl status --endpoints ${coordinators.endpoints.join(',')}
  curl ${alive[0]?.api}/v1/shards
`)
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}

function say(text: string): void {
  process.stdout.write(`\n— ${text}\n`)
}

function note(text: string): void {
  process.stdout.write(`         ✗ ${text}\n`)
}

async function show(args: readonly string[], { folder, env }: Scene): Promise<void> {
  const words = args.map((arg) =>
    arg.includes(' ') ? `"${arg.replaceAll(/\s+/g, ' ').trim()}"` : arg,
  )
  process.stdout.write(`\n$ hakiri ${words.join(' ')}\n`)
  const child = spawn(HAKIRI, args, { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit'] })
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
  if (code !== 0) throw new Error(`hakiri ${args[0]} ended with ${String(code)}`)
}
