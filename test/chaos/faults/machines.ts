/** Faults of the disk under a coordinator, and of the wall clock of a host. */
import {
  actorOf,
  type Begin,
  type ClockPort,
  coordinatorOf,
  type DiskPort,
  NothingToHit,
  scale,
  type Scene,
  unharmed,
} from './stage.ts'

/** A disk that fails ends the coordinator (R6), which is started again once the disk is sound. */
const failDisk =
  (fail: (disks: DiskPort, host: string) => Promise<void>): Begin =>
  async ({ stage, fault }) => {
    const disks = disksOf(stage.disks)
    const { actor } = coordinatorOf(stage, fault.hosts[0]!)
    unharmed(actor).isToEnd = true
    await fail(disks, actor.name)
    return async () => {
      await disks.heal(actor.name)
      actor.isToEnd = false
      actor.start()
    }
  }

function disksOf(disks: DiskPort | undefined): DiskPort {
  if (!disks) throw new NothingToHit('no disk of this lab can fail')
  return disks
}

const setClock =
  (offsetS: (degree: number) => number, rate: (degree: number) => number): Begin =>
  async ({ stage, fault: { hosts, degree } }: Scene) => {
    const clocks: ClockPort | undefined = stage.clocks
    if (!clocks) throw new NothingToHit('no clock of this lab can be set')
    const { name } = actorOf(stage, hosts[0]!)
    await clocks.set(name, offsetS(degree), rate(degree))
    return () => clocks.heal(name)
  }

export const MACHINES = {
  'sync-fails': failDisk((disks, host) => disks.failSyncs(host)),
  'disk-full': failDisk((disks, host) => disks.fill(host)),
  'sync-slow': async ({ stage, fault: { hosts, degree } }) => {
    const disks = disksOf(stage.disks)
    const host = hosts[0]!
    await disks.slowSyncs(host, scale(20, 1_500, degree))
    return () => disks.heal(host)
  },
  'clock-jumps': setClock(
    (degree) => scale(-3_600, 3_600, degree),
    () => 1,
  ),
  'clock-drifts': setClock(
    () => 0,
    (degree) => (degree < 0.5 ? 0.5 : 2),
  ),
} satisfies { readonly [kind: string]: Begin }
