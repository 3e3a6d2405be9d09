/**
 * Whoever looks after the cluster: adds, removes and replaces members while everything else goes wrong
 * (M1), gives every member that is in the list a machine, and takes those away that are not.
 */
import type { MemberId } from '../../coord/raft/types.ts'
import type { MemberQuestion } from '../../coord/node/transport.ts'
import { askFor } from './clients.ts'
import type { ClientWorld } from './clients.ts'
import type { Machine } from './cluster.ts'
import { programFor } from './programs.ts'
import type { Dice } from './random.ts'

export type Operator = {
  add(isLearner: boolean): void
  remove(member: MemberId): void
  /** A newcomer takes the member's place once it has caught up. */
  swap(member: MemberId): void
  moveLeader(): void
  /** A change is on its way. */
  isBusy(): boolean
  /** Machines for members that have none, and none for those that left. */
  reconcile(): void
}

/** More voters than this make a run slow, not wise. */
const MEMBERS_MAX = 7
export const OPERATOR = 900

export function createOperator(world: ClientWorld, dice: Dice): Operator {
  const { cluster } = world
  let added = 0
  let pending = 0

  function member(question: MemberQuestion): void {
    const running = cluster.running()
    if (running.length === 0) return
    const ask = { kind: 'request', request: { kind: 'member', question } } as const
    pending++
    askFor(world, OPERATOR, dice.pick(running), ask, () => {
      pending--
      reconcile()
    })
  }

  function reconcile(): void {
    const members = cluster.members()
    upgrade()
    for (const { id } of members) {
      if (cluster.machines.some(({ host, isImposter }) => !isImposter && host.member === id))
        continue
      cluster.start(cluster.addMachine(id, members, true))
    }
  }

  /** A program that the others do not let in any more gives way to a newer one. */
  function upgrade(): void {
    const running = cluster.running()
    const level = Math.max(0, ...running.map(({ host }) => host.replica()!.protocols().min))
    for (const machine of running) {
      const program = programFor(level, machine.host.program())
      if (program === machine.host.program()) continue
      machine.program = program
      machine.host.stop('killed', false)
      cluster.startIn(100, machine)
    }
  }

  return {
    reconcile,
    isBusy: () => pending > 0,
    add(isLearner) {
      if (cluster.members().length >= MEMBERS_MAX) return
      member({ kind: 'add', peerUrls: [`http://added-${added++}`], isLearner, replaces: 0n })
    },
    swap(replaces) {
      if (cluster.members().length >= MEMBERS_MAX) return
      member({ kind: 'add', peerUrls: [`http://added-${added++}`], isLearner: true, replaces })
    },
    // One loss is enough.
    remove(id) {
      const voters = cluster.members().filter(({ isLearner }) => !isLearner)
      const lost = cluster.machines.find(({ isLost, isRetired }) => isLost && !isRetired)
      if (lost && lost.host.member !== id) return
      if (voters.length > 1) member({ kind: 'remove', member: id })
    },
    moveLeader() {
      const [running, members] = [cluster.running(), cluster.members()]
      if (running.length === 0 || members.length === 0) return
      const target = dice.pick(members).id
      const ask = { kind: 'request', request: { kind: 'move-leader', target } } as const
      askFor(world, OPERATOR, dice.pick(running), ask, () => undefined)
    },
  }
}

/** Machines whose member is in the list but not on its way out. */
export function inList({ cluster }: ClientWorld): Machine[] {
  const ids = new Set(cluster.members().map(({ id }) => id))
  return cluster.machines.filter(
    ({ host, isRetired, isImposter }) => !isRetired && !isImposter && ids.has(host.member),
  )
}
