/**
 * The coordinators of a chaos run, one a host: `hakiri coord`, or etcd as Debian has it. Each has a disk of
 * its own, which a newcomer that takes a member's place begins with empty.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createAdminClient, type AdminClient } from '../../../coord/client/admin.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import type { Backend } from '../faults/catalogue.ts'
import type { Environment } from '../hosts/environment.ts'
import type { Host } from '../hosts/lab.ts'
import type { Timeline } from '../timeline.ts'
import { keep, type Kept } from './kept.ts'
import type { Program } from './program.ts'

export type Coordinator = {
  readonly actor: Kept
  /** host:port */
  readonly endpoint: string
  readonly folder: string
  /** The program it is run as from its next start on. */
  runAs(program: Program): void
  /** From its next start on it asks the others to take it in. */
  joinFromNowOn(): void
}

export type Coordinators = AsyncDisposable & {
  /** Those that are meant to be up when nothing is wrong. */
  readonly all: readonly Coordinator[]
  /** Those that join while a fault wants them. */
  readonly spares: readonly Coordinator[]
  readonly endpoints: readonly string[]
  readonly admin: AdminClient
  /** All who say that they lead; one that does not know yet that it was deposed has an older term. */
  leaders(): Promise<readonly Leader[]>
  /** The one of them with the newest term. */
  leader(): Promise<Leader | undefined>
}

export type Leader = { readonly name: string; readonly term: number; readonly id: bigint }

export type CoordinatorsOptions = {
  readonly backend: Backend
  readonly hosts: readonly Host[]
  readonly spares: readonly Host[]
  readonly program: Program
  readonly timeline: Timeline
  /** Where a member keeps its data, and what its processes get to see. */
  placeOf(host: Host): {
    readonly folder: string
    readonly env: Environment
  }
  readonly problem: (text: string) => void
}

const CLIENT_PORT = 7701
const PEER_PORT = 7702
/** What is asked of a member that may be gone must not hold up a look at the others. */
const STATUS_MS = 700

export function createCoordinators(options: CoordinatorsOptions): Coordinators {
  const endpoints = options.hosts.map(endpointOf)
  const all = options.hosts.map((host) => newCoordinator(options, host, 'peers'))
  const spares = options.spares.map((host) => newCoordinator(options, host, 'join'))
  const everyone = [...all, ...spares]
  const admin = createAdminClient(
    { endpoints, attemptMs: 2_000, readMs: 2_000 },
    { clock: systemClock, random: systemRandom, logger: silentLogger },
  )
  return {
    all,
    spares,
    endpoints,
    admin,
    leaders: () => findLeaders(everyone, admin),
    leader: async () => (await findLeaders(everyone, admin)).toSorted((a, b) => b.term - a.term)[0],
    async [Symbol.asyncDispose]() {
      await admin[Symbol.asyncDispose]()
      await Promise.all(everyone.map(({ actor }) => actor[Symbol.asyncDispose]()))
    },
  }
}

const endpointOf = ({ address }: Host): string => `${address}:${CLIENT_PORT}`

function newCoordinator(options: CoordinatorsOptions, host: Host, begins: Way): Coordinator {
  const { folder, env } = options.placeOf(host)
  const endpoint = endpointOf(host)
  const own = { endpoint, folder, name: host.name }
  const peers = options.hosts.map(endpointOf)
  const isEtcd = options.backend === 'etcd'
  let program = options.program
  let way = begins
  const argsOf = (): readonly string[] =>
    isEtcd ? etcdArgs(options.hosts, host, folder) : hakiriArgs(program, own, way, peers)
  const actor = keep({
    name: host.name,
    host,
    program: isEtcd ? 'etcd' : program.node,
    args: argsOf(),
    env: { ...program.env, ...env, NO_COLOR: '1' },
    timeline: options.timeline,
    problem: options.problem,
  })
  return {
    actor,
    endpoint,
    folder,
    runAs(next) {
      program = next
      actor.args = argsOf()
    },
    joinFromNowOn() {
      way = 'join'
      actor.args = argsOf()
    },
  }
}

/** A new cluster begins with a list of all; a newcomer asks those that are there. */
type Way = 'peers' | 'join'

type Own = { readonly endpoint: string; readonly folder: string; readonly name: string }

function hakiriArgs(
  program: Program,
  { endpoint, folder, name }: Own,
  way: Way,
  peers: readonly string[],
): readonly string[] {
  const list = way === 'peers' ? peers : peers.filter((peer) => peer !== endpoint)
  const where = ['--bind', endpoint, `--${way}`, list.join(','), '--data', folder]
  return [...program.main, 'coord', '--json', ...where, '--name', name, '--insecure']
}

function etcdArgs(hosts: readonly Host[], host: Host, folder: string): readonly string[] {
  const client = `http://${host.address}:${CLIENT_PORT}`
  const peer = `http://${host.address}:${PEER_PORT}`
  const cluster = hosts.map(({ name, address }) => `${name}=http://${address}:${PEER_PORT}`)
  const settings = {
    name: host.name,
    'data-dir': folder,
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': cluster.join(','),
    'initial-cluster-state': 'new',
    logger: 'zap',
    'log-level': 'warn',
  }
  return Object.entries(settings).map(([key, value]) => `--${key}=${value}`)
}

async function findLeaders(
  all: readonly Coordinator[],
  admin: AdminClient,
): Promise<readonly Leader[]> {
  const found = await Promise.all(
    all.map(async ({ actor, endpoint }): Promise<Leader | undefined> => {
      if (actor.state() !== 'running') return undefined
      const status = await admin.status(endpoint, { timeoutMs: STATUS_MS }).catch(() => undefined)
      const id = status?.header?.memberId
      if (!status || id === undefined || status.leader !== id) return undefined
      return { name: actor.name, term: Number(status.raftTerm), id }
    }),
  )
  return found.filter((leader) => leader !== undefined)
}

/** Empties the disk of a coordinator that is down; the folder stays, for it may be a mount. */
export async function loseDisk({ folder }: Coordinator): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  // A file system of its own keeps this one for itself.
  const own = names.filter((name) => name !== 'lost+found')
  await Promise.all(own.map((name) => rm(join(folder, name), { recursive: true, force: true })))
}
