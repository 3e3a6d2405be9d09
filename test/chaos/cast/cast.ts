/**
 * Everybody who takes part in a chaos run, on hosts of one lab: coordinators, workers and one to spare, and
 * what they stand on. All of it is up when `gather` resolves; disposing of it ends every process.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createCoordClient } from '../../../coord/client/create.ts'
import type { CoordClient } from '../../../coord/client/client.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { createDice } from '../../simulation/random.ts'
import { type Backend, SPARE_COORDINATOR, SPARE_WORKER, type Troupe } from '../faults/catalogue.ts'
import type { Stage } from '../faults/stage.ts'
import type { Host, Lab } from '../hosts/lab.ts'
import { type Pipelines, startPipelines } from '../pipelines/pipelines.ts'
import { type HolderObserver, observeHolders } from '../observe.ts'
import type { Timeline } from '../timeline.ts'
import { type Coordinators, createCoordinators } from './coordinators.ts'
import type { Kept } from './kept.ts'
import { type Machines, prepareMachines } from './machines.ts'
import type { Program } from './program.ts'
import { stageOf, USUAL_API_FAULTS } from './stage.ts'
import { until } from '../../support/until.ts'
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
  /** How many times as long everything may take, on a machine as slow as it is now. */
  readonly stretch: () => number
  readonly programs: { readonly now: Program; readonly next: Program }
  readonly timeline: Timeline
  readonly problem: (text: string) => void
}

export async function gather(options: CastOptions): Promise<Cast> {
  const { lab, timeline } = options
  await using cleaning = new AsyncDisposableStack()
  const [coordNames, workerNames] = [
    namesOf('coord', options.nodes),
    namesOf('worker', options.workers),
  ]
  // etcd is there already: who its members are is nothing that Hakiri changes.
  const spareCoords = options.backend === 'raft' ? [SPARE_COORDINATOR] : []
  const spares = [SPARE_WORKER, ...spareCoords]
  const hosts = await addHosts(lab, [...coordNames, ...workerNames, ...spares])
  const kept = new Map<string, Kept>()
  const machines = cleaning.use(
    await prepareMachines({
      lab,
      backend: options.backend,
      coordinators: [...coordNames, ...spareCoords],
      workers: workerNames,
      pidOf: (host) => kept.get(host)?.pid(),
    }),
  )
  const pipelines = cleaning.use(await openPipelines(options, [...workerNames, SPARE_WORKER]))
  const coordinators = cleaning.use(
    createCoordinators({
      ...options,
      hosts: coordNames.map((name) => hosts.get(name)!),
      spares: spareCoords.map((name) => hosts.get(name)!),
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
  for (const { actor } of [...coordinators.all, ...coordinators.spares, ...workers.values()])
    kept.set(actor.name, actor)
  for (const { actor } of steady) actor.start()
  await untilMembers(pipelines, workerNames)
  const troupe: Troupe = {
    backend: options.backend,
    coordinators: coordNames,
    workers: workerNames,
    spares,
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
  for (const name of [...namesOf('worker', options.workers), SPARE_WORKER]) {
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
  await pipelines.api.faults(USUAL_API_FAULTS)
  return pipelines
}

async function untilLed(coordinators: Coordinators): Promise<void> {
  await until('a coordinator leads', () => coordinators.leader())
}

/** Beside a dozen other programs that start. */
const MEMBERS_MS = 180_000

async function untilMembers({ catalog }: Pipelines, names: readonly string[]): Promise<void> {
  const missing = async (): Promise<readonly string[]> => {
    const there = (await catalog.workers()).filter(({ isPresent }) => isPresent)
    return names.filter((name) => !there.some((row) => row.name === name))
  }
  const describe = async (): Promise<string> => `but ${(await missing()).join(', ')}`
  const areAll = async (): Promise<boolean> => (await missing()).length === 0
  await until('all workers are members', areAll, MEMBERS_MS, describe)
}
