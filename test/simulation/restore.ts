/**
 * A backup is taken of one member and, later, put back on machines of their own as a new cluster, while
 * what is left of the old one is gone (O3). What came after the backup is lost, as told; what must hold is
 * that no revision comes twice, that every watch hears of the gap, and that all members agree.
 */
import { firstMemberId } from '../../coord/node/ids.ts'
import type { Member } from '../../coord/node/node.ts'
import { carryOver } from '../../coord/node/state.ts'
import type { ImageRecord } from '../../coord/image/image.ts'
import { demand } from './checks/violation.ts'
import type { ClientWorld } from './clients.ts'
import type { LeaseChecker } from './checks/leases.ts'
import type { Dice } from './random.ts'

/** What `snapshot save` has in its file. */
type Backup = { readonly index: number; readonly records: readonly ImageRecord[] }

/** As `snapshot restore` does it by default. */
const LEAP = 1_000_000

export type RestoredWorld = ClientWorld & { readonly leases: LeaseChecker }

export function membersFor(token: string, count: number): readonly Member[] {
  const urls = Array.from({ length: count }, (_, nth) => `http://n${nth}`)
  return urls.map((url) => ({
    id: firstMemberId(token, url),
    name: '',
    peerUrls: [url],
    clientUrls: [],
    isLearner: false,
  }))
}

/** Takes a backup after a while, and puts it back after another. */
export function planRestore(world: RestoredWorld, dice: Dice): void {
  const { plan, timeline, cluster } = world
  const savedMs = plan.faultyMs * dice.between(0.2, 0.5)
  timeline.after(savedMs, () => {
    const running = cluster.running().filter(({ host }) => host.replica()!.applied > 1)
    const image = running.length > 0 ? dice.pick(running).host.storage.image.state() : undefined
    if (!image?.mark || image.mark.index < 2) return
    const backup = { index: image.mark.index, records: image.records }
    timeline.after(plan.faultyMs * dice.between(0.05, 0.3), () => restore(world, backup, dice))
  })
}

function restore(
  { plan, cluster, leases, history }: RestoredWorld,
  backup: Backup,
  dice: Dice,
): void {
  const before = cluster.truth.model.revision()
  const firstMembers = membersFor(`restored at ${backup.index}`, plan.nodes)
  cluster.succeed(firstMembers, carryOver(backup.records, LEAP))
  cluster.truth.restored(backup.index, LEAP)
  leases.restored()
  history.restored()
  const { model } = cluster.truth
  const isAhead = model.compactRevision() > before
  demand(isAhead, 'K1', () => `${model.compactRevision()} was seen before: ${before}`)
  for (const machine of cluster.machines.filter(({ isRetired }) => !isRetired))
    cluster.startIn(dice.float() * 100, machine)
}
