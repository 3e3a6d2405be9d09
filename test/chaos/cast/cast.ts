/**
 * Everybody who takes part in a chaos run, on hosts of one lab: coordinators, workers and one to spare, and
 * what they stand on. All of it is up when `gather` resolves; disposing of it ends every process.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createCoordClient } from '../../../coord/client/create.ts'
import type { CoordClient } from '../../../coord/client/client.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { cordonWorker } from '../../../worker/operate.ts'
import { operatorOf } from '../../../cli/cluster.ts'
import { createDice } from '../../simulation/random.ts'
import { createBook } from '../faults/book.ts'
import { type Backend, SPARE_HOST as SPARE, type Troupe } from '../faults/catalogue.ts'
import type { BucketMoodLine, Stage } from '../faults/stage.ts'
import type { Host, Lab } from '../hosts/lab.ts'
import type { ApiFaults } from '../pipelines/api-server.ts'
import type { BucketMood } from '../pipelines/bucket-server.ts'
import type { HostPostgres } from '../pipelines/host-postgres.ts'
import { type Pipelines, startPipelines } from '../pipelines/pipelines.ts'
import { type HolderObserver, observeHolders } from '../observe.ts'
import type { Timeline } from '../timeline.ts'
import { type Coordinators, createCoordinators } from './coordinators.ts'
import type { Kept } from './kept.ts'
import { type Machines, prepareMachines } from './machines.ts'
import type { Program } from './program.ts'
import { type ChaosWorker, createWorker, SESSION_TTL_MS } from './workers.ts'

export type Cast = AsyncDisposable & {
  readonly stage: Stage
  readonly coordinators: Coordinators
  readonly pipelines: Pipelines
  readonly client: CoordClient
  readonly holders: HolderObserver
  /** Workers that are meant to be up when nothing is wrong. */
  readonly workers: readonly ChaosWorker[]
  readonly processes: readonly Kept[]
}

export type CastOptions = {
  readonly lab: Lab
  readonly seed: number
  readonly backend: Backend
  readonly nodes: number
  readonly workers: number
  readonly patience: number
  readonly programs: { readonly now: Program; readonly next: Program }
  readonly timeline: Timeline
  readonly problem: (text: string) => void
}

const READY_MS = 30_000
const LOOK_MS = 100
/** What the API does wrong all the time. */
const USUAL: Required<ApiFaults> = {
  rate: 0.02,
  badGateway: 0.03,
  slow: 0.02,
  cut: 0.03,
  reset: 0.03,
}

export async function gather(options: CastOptions): Promise<Cast> {
  const { lab, timeline } = options
  await using cleaning = new AsyncDisposableStack()
  const [coordNames, workerNames] = [
    namesOf('coord', options.nodes),
    namesOf('worker', options.workers),
  ]
  const hosts = await addHosts(lab, [...coordNames, ...workerNames, SPARE])
  const kept = new Map<string, Kept>()
  const machines = cleaning.use(
    await prepareMachines({
      lab,
      backend: options.backend,
      coordinators: coordNames,
      workers: workerNames,
      pidOf: (host) => kept.get(host)?.pid(),
    }),
  )
  const pipelines = cleaning.use(await openPipelines(options, [...workerNames, SPARE]))
  const coordinators = cleaning.use(
    createCoordinators({
      ...options,
      hosts: coordNames.map((name) => hosts.get(name)!),
      program: options.programs.now,
      placeOf: ({ name }) => ({ folder: machines.folderOf(name), env: machines.envOf(name) }),
    }),
  )
  for (const { actor } of coordinators.all) actor.start()
  await untilLed(coordinators)
  const client = cleaning.use(connect(coordinators.endpoints))
  // Before the first worker: nobody may claim unseen.
  const prefix = `hakiri/${pipelines.catalog.id}/`
  const holders = cleaning.use(observeHolders(client, prefix, timeline))
  await holders.begun
  const workers = await hire(options, { hosts, machines, pipelines, coordinators }, cleaning)
  const steady = workerNames.map((name) => workers.get(name)!)
  for (const { actor } of [...coordinators.all, ...workers.values()]) kept.set(actor.name, actor)
  for (const { actor } of steady) actor.start()
  await untilMembers(pipelines, workerNames)
  const troupe: Troupe = {
    backend: options.backend,
    coordinators: coordNames,
    workers: workerNames,
    abilities: machines.abilities,
  }
  const stage = stageOf(options, { troupe, machines, pipelines, coordinators, workers })
  const owned = cleaning.move()
  return {
    stage,
    coordinators,
    pipelines,
    client,
    holders,
    workers: steady,
    processes: [...kept.values()],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function namesOf(role: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${role}-${index + 1}`)
}

function connect(endpoints: readonly string[]): CoordClient {
  return createCoordClient(
    { endpoints, attemptMs: 2_000, readMs: 10_000 },
    { clock: systemClock, random: systemRandom, logger: silentLogger },
  )
}

type Surroundings = {
  readonly machines: Machines
  readonly pipelines: Pipelines
  readonly coordinators: Coordinators
}

/** Workers that nobody has started yet; they end with the stack. */
async function hire(
  options: CastOptions,
  around: Surroundings & { readonly hosts: ReadonlyMap<string, Host> },
  cleaning: AsyncDisposableStack,
): Promise<ReadonlyMap<string, ChaosWorker>> {
  const { lab, timeline, patience, programs } = options
  const { hosts, machines, pipelines, coordinators } = around
  const folder = join(lab.folder, 'workers')
  await mkdir(folder)
  const workers = new Map<string, ChaosWorker>()
  for (const name of [...namesOf('worker', options.workers), SPARE]) {
    const worker = await createWorker({
      host: hosts.get(name)!,
      folder,
      program: programs.now,
      endpoints: coordinators.endpoints,
      ttlMs: SESSION_TTL_MS * patience,
      env: { ...pipelines.env(name), ...machines.envOf(name) },
      timeline,
      problem: (text) => options.problem(text),
    })
    cleaning.use(worker.actor)
    workers.set(name, worker)
  }
  return workers
}

function stageOf(
  { lab, seed, timeline, programs, problem }: CastOptions,
  around: Surroundings & Pick<Stage, 'troupe' | 'workers'>,
): Stage {
  const { troupe, machines, pipelines, coordinators, workers } = around
  const dice = createDice(seed).fork('leaders')
  return {
    troupe,
    timeline,
    coordinators,
    workers,
    programs,
    problem,
    spare: workers.get(SPARE)!,
    disks: machines.disks,
    clocks: machines.clocks,
    ...servicesOf(lab, pipelines),
    cordon: async (worker, isCordoned) =>
      void (await cordonWorker(operatorOf(pipelines.catalog), worker, isCordoned)),
    leader: async () => (await coordinators.leader())?.name ?? dice.pick(troupe.coordinators),
  }
}

async function addHosts(lab: Lab, names: readonly string[]): Promise<ReadonlyMap<string, Host>> {
  const hosts = new Map<string, Host>()
  for (const name of names) hosts.set(name, await lab.addHost(name))
  return hosts
}

async function openPipelines(
  { lab, seed }: CastOptions,
  workers: readonly string[],
): Promise<Pipelines> {
  const folder = join(lab.folder, 'pipes')
  await mkdir(folder)
  const dice = createDice(seed).fork('pipelines')
  const random = (): number => dice.float()
  const pipelines = await startPipelines({ lab, folder, workers, seed, clock: systemClock, random })
  await pipelines.api.faults(USUAL)
  return pipelines
}

function servicesOf(lab: Lab, { catalogPostgres, sourcePostgres, bucket, api }: Pipelines) {
  return {
    links: createBook((lines) => lab.setLinks(lines.flat())),
    moods: createBook((lines: readonly BucketMoodLine[]) => bucket.mood(moodOf(lines))),
    api: createBook((degrees: readonly number[]) => api.faults(worse(Math.max(0, ...degrees)))),
    catalog: databasePort(catalogPostgres),
    source: databasePort(sourcePostgres),
    bucket: {
      kill: () => bucket.kill(),
      up: () => bucket.up(),
      pause: () => bucket.signal('SIGSTOP'),
      resume: () => bucket.signal('SIGCONT'),
    },
  } satisfies Partial<Stage>
}

function databasePort(postgres: HostPostgres) {
  const isGone = async (): Promise<boolean> => postgres.program.pid() === undefined
  return {
    kill: () => postgres.kill(),
    up: () => postgres.up(),
    async restart() {
      postgres.program.signal('SIGINT')
      await until('Postgres is down', isGone)
      await postgres.up()
    },
    dropConnections: () => postgres.dropConnections(),
  }
}

function worse(degree: number): ApiFaults {
  const more = 1 + degree * 6
  return Object.fromEntries(Object.entries(USUAL).map(([name, share]) => [name, share * more]))
}

function moodOf(lines: readonly BucketMoodLine[]): BucketMood {
  const isLying = lines.some(({ kind }) => kind === 'lies')
  return {
    faults: lines.flatMap((line) =>
      line.kind === 'lies' || line.kind === 'slow' ? [] : [{ kind: line.kind, share: line.share }],
    ),
    settings: {
      latencyMs: Math.max(0, ...lines.map((line) => (line.kind === 'slow' ? line.latencyMs : 0))),
      ...(isLying ? { conditional: 'ignored' as const } : {}),
    },
  }
}

function untilLed(coordinators: Coordinators): Promise<void> {
  return until('a coordinator leads', async () => (await coordinators.leader()) !== undefined)
}

function untilMembers({ catalog }: Pipelines, names: readonly string[]): Promise<void> {
  return until('all workers are members', async () => {
    const there = (await catalog.workers()).filter(({ isPresent }) => isPresent)
    return names.every((name) => there.some((row) => row.name === name))
  })
}

/** Looks again and again until it is so. */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + READY_MS; !(await isSo()); await delay(LOOK_MS))
    if (performance.now() > end) throw new Error(`not within ${READY_MS} ms: ${what}`)
}
