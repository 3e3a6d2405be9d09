/** The disks of coordinators and the clocks of hosts, as faults ask for them. */
import { join } from 'node:path'
import { clocksMissing, type HostClock, openClock } from '../hosts/clocks.ts'
import { type Disk, type DiskFault, openDisk, type PlayedFault } from '../hosts/disks.ts'
import { type Environment, mergeEnvironments } from '../hosts/environment.ts'
import type { Lab } from '../hosts/lab.ts'
import type { Ability, Backend } from '../faults/catalogue.ts'
import { type ClockPort, type DiskPort, NothingToHit } from '../faults/stage.ts'

export type Machines = AsyncDisposable & {
  readonly abilities: ReadonlySet<Ability>
  readonly disks: DiskPort | undefined
  readonly clocks: ClockPort | undefined
  /** Where a coordinator keeps its data. */
  folderOf(host: string): string
  /** What a program on this host needs to meet the faults of its machine. */
  envOf(host: string): Environment
}

export type MachinesOptions = {
  readonly lab: Lab
  readonly backend: Backend
  readonly coordinators: readonly string[]
  readonly workers: readonly string[]
  readonly pidOf: (host: string) => number | undefined
}

/** In memory: what a sync costs is up to faults, not to whatever else the machine's disk has to do. */
const DISK_BYTES: Readonly<Record<Backend, number>> = { raft: 128 << 20, etcd: 384 << 20 }

export async function prepareMachines(options: MachinesOptions): Promise<Machines> {
  const { lab, backend, coordinators, workers, pidOf } = options
  await using cleaning = new AsyncDisposableStack()
  // A program that is linked statically, as etcd is, is reached through its system calls.
  const reach = backend === 'etcd' ? 'trace' : 'preload'
  const isRooted = lab.kind === 'namespaces'
  const sizeBytes = DISK_BYTES[backend]
  const disks = new Map<string, Disk>()
  if (isRooted)
    for (const name of coordinators)
      disks.set(name, cleaning.use(await openDisk(lab, { name, reach, sizeBytes })))
  const clocks = new Map<string, HostClock>()
  const areClocksBent = isRooted && (await clocksMissing()) === undefined
  const withClock = backend === 'etcd' ? workers : [...coordinators, ...workers]
  if (areClocksBent) for (const name of withClock) clocks.set(name, await openClock(lab, name))
  const kept = cleaning.move()
  return {
    abilities: new Set([
      ...(isRooted ? (['packets', 'disks'] as const) : []),
      ...(areClocksBent ? (['clocks'] as const) : []),
    ]),
    disks: isRooted ? diskPort(disks, pidOf) : undefined,
    clocks: areClocksBent ? clockPort(clocks, pidOf) : undefined,
    folderOf: (host) => disks.get(host)?.folder ?? join(lab.folder, `disk-${host}`),
    envOf: (host) => mergeEnvironments(disks.get(host)?.env ?? {}, clocks.get(host)?.env ?? {}),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

type PidOf = MachinesOptions['pidOf']

function diskPort(disks: ReadonlyMap<string, Disk>, pidOf: PidOf): DiskPort {
  const played = new Map<string, PlayedFault>()
  const begin = async (host: string, fault: DiskFault): Promise<void> => {
    const pid = pidOf(host)
    if (pid === undefined) throw new NothingToHit(`${host} is down`)
    played.set(host, await disks.get(host)!.begin(fault, pid))
  }
  return {
    failSyncs: (host) => begin(host, { kind: 'failing-sync' }),
    slowSyncs: (host, ms) => begin(host, { kind: 'slow-sync', ms }),
    fill: (host) => begin(host, { kind: 'full' }),
    async heal(host) {
      const fault = played.get(host)
      played.delete(host)
      await fault?.heal()
    },
  }
}

function clockPort(clocks: ReadonlyMap<string, HostClock>, pidOf: PidOf): ClockPort {
  return {
    async set(host, offsetS, rate) {
      const pid = pidOf(host)
      if (pid === undefined) throw new NothingToHit(`${host} is down`)
      await clocks.get(host)!.set(offsetS * 1_000, rate, pid)
    },
    heal: (host) => clocks.get(host)!.heal(),
  }
}
