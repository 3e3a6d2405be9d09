/**
 * What goes wrong, one thing after the other, as the plan of the seed wants it. Each disturbance ends by
 * itself or by a `heal`; disks that are lost for good are never more than a minority can bear.
 */
import type { ClientWorld } from './clients.ts'
import type { Machine } from './cluster.ts'
import type { Operator } from './operator.ts'
import type { Disturbance } from './plan.ts'
import { newerThan, olderThan } from './programs.ts'
import type { Program } from './programs.ts'
import { createDice, hashText } from './random.ts'
import type { Dice } from './random.ts'
import { demand } from './checks/violation.ts'
import { grantMany } from './sessions.ts'
import type { SessionWorld } from './sessions.ts'

export type DisturbedWorld = SessionWorld & { readonly operator: Operator }

const RUMOURS = hashText('rumours')

/** Who grants many leases at once. */
export const MASS = 950

/** A machine comes back after a while, whatever has become of it meanwhile. */
export function restartLater(world: ClientWorld, machine: Machine, afterMs: number): void {
  world.timeline.after(afterMs, () => {
    if (machine.isLost || machine.isRetired || machine.host.replica()) return
    // Somebody else sits in its place.
    if (world.cluster.machineOf(machine.host.member) !== machine)
      return restartLater(world, machine, 500)
    machine.host.storage.setFull(false)
    const isAccepted = world.cluster.start(machine)
    demand(isAccepted, 'refusal', () => `the good disk of ${machine.host.member} is refused`)
  })
}

function draw(dice: Dice, disturbances: readonly (readonly [Disturbance, number])[]): Disturbance {
  let left = dice.float() * disturbances.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [name, weight] of disturbances) {
    left -= weight
    if (left <= 0) return name
  }
  return 'heal'
}

export function createDisturbances(world: DisturbedWorld, dice: Dice): () => void {
  const { plan, timeline } = world
  // What is told about members has dice of its own.
  const rumours = createDice(plan.seed, RUMOURS)

  const act = (): void => {
    if (!world.isOpen()) return
    timeline.after(dice.exponential(plan.disturbanceMs), act)
    const name = draw(dice, plan.disturbances)
    const victim = drawVictim(world, dice)
    if (!victim) return
    // Of one that only pauses it is wrong.
    if (name === 'kill' || name === 'pause') tellGone(world, victim, rumours)
    disturb(world, dice, name, victim)
  }
  return act
}

/** Everyone in one half is cut off from everyone in the other. */
function split({ cluster }: ClientWorld, left: readonly number[], isBothWays: boolean): void {
  for (const { slot } of cluster.machines)
    for (const other of left) {
      if (left.includes(slot)) continue
      cluster.network.cut(slot, other)
      if (isBothWays) cluster.network.cut(other, slot)
    }
}

/** Power goes, and comes again to a disk that a check may have changed meanwhile. */
function losePower(world: ClientWorld, machine: Machine, dice: Dice, isPowerLoss = true): void {
  machine.host.stop(isPowerLoss ? 'power' : 'killed', isPowerLoss)
  restartLater(world, machine, dice.exponential(1500))
}

/**
 * The others find that nobody listens any more where it was, each some time later or never; cuts of the
 * network do not stop that word, so that it is also wrong at times.
 */
function tellGone({ cluster, timeline }: ClientWorld, { host }: Machine, dice: Dice): void {
  for (const { host: other } of cluster.machines)
    if (other !== host && dice.chance(0.6))
      timeline.after(dice.exponential(60), () => other.gone(host.member))
}

/** Whether a disk may go for good: enough are left, all others are there, and the cluster stands. */
function mayLose({ cluster }: ClientWorld): boolean {
  const voters = cluster.members().filter(({ isLearner }) => !isLearner)
  const present = cluster.machines.filter(({ isRetired, isImposter }) => !isRetired && !isImposter)
  return (
    voters.length >= 3 &&
    present.every(({ isLost, host }) => !isLost && host.storage.formation.isFormed)
  )
}

/** One bit of a disk is wrong (D5): it is refused, or the bit did not matter. */
function flip(world: DisturbedWorld, machine: Machine, dice: Dice): void {
  const { cluster, operator } = world
  if (!mayLose(world) || operator.isBusy()) return
  machine.host.stop('power', true)
  const { wal, image } = machine.host.storage
  const before = image.state()
  wal.flipBit()
  machine.isLost = true
  world.timeline.after(dice.exponential(1000), () => {
    const recovered = wal.recover()
    // Whoever lost a byte without noticing would break R6, which the start then shows.
    if (recovered && before.mark) {
      machine.isLost = false
      if (!cluster.start(machine)) machine.isLost = true
    }
    if (machine.isLost) {
      operator.remove(machine.host.member)
      operator.add(true)
    }
  })
}

/** A sector reads as another one, or as it was before (D8); the next time it may read right. */
function misread(world: DisturbedWorld, machine: Machine, dice: Dice): void {
  const { operator } = world
  if (!mayLose(world) || operator.isBusy()) return
  machine.host.stop('power', true)
  const { wal } = machine.host.storage
  const { isServed, heal } = wal.misread()
  demand(!isServed, 'refusal', () => `${machine.host.member} takes a wrong sector for its log`)
  if (dice.chance(0.5)) {
    heal()
    return restartLater(world, machine, dice.exponential(800))
  }
  machine.isLost = true
  operator.remove(machine.host.member)
  operator.add(true)
}

/** Another program takes over, as soon as the process has ended (M3). */
function change(world: ClientWorld, machine: Machine, next: (program: Program) => Program): void {
  const { host } = machine
  const program = next(machine.program)
  if (!world.plan.isMixed || program === machine.program) return
  const level = host.replica()?.protocols().min ?? 1
  if (program.max < level) return
  machine.isDowngraded ||= program.max < machine.program.max
  machine.program = program
  host.stop('killed', false)
  restartLater(world, machine, 100)
}

/** An operator puts an older image back (P5): the log fills it up, or it is refused. */
function rollBack(world: ClientWorld, machine: Machine, dice: Dice): void {
  machine.host.stop('power', true)
  const { image } = machine.host.storage
  const older = image.older()
  if (older.length > 0) {
    machine.spare ??= image.state()
    image.putBack(dice.pick(older))
  }
  restartLater(world, machine, dice.exponential(800))
}

/** A machine with an empty disk takes a member's place (M2). It must be refused, not trusted. */
function impose(world: ClientWorld, machine: Machine): void {
  const { cluster, timeline } = world
  const { host } = machine
  const isFirst = host.storage.formation.lives.size > 0
  const isOther = cluster.machines.some(({ isImposter, isRetired }) => isImposter && !isRetired)
  // Empty disks on all members are a new cluster, and nobody could tell.
  if (!isFirst || isOther || machine.isLost || cluster.truth.model.revision() < 2) return
  host.stop('power', true)
  const imposter = cluster.addMachine(host.member, cluster.firstMembers, false, true)
  cluster.start(imposter)
  timeline.after(1500, () => {
    demand(!imposter.host.replica()?.isFormed(), 'refusal', () => `${host.member} formed anew`)
    imposter.isRetired = true
    imposter.host.stop('power', true)
    restartLater(world, machine, 0)
  })
}

/** The leader more often than others. */
function drawVictim({ cluster }: DisturbedWorld, dice: Dice): Machine | undefined {
  const running = cluster.running()
  if (running.length === 0) return undefined
  return dice.chance(0.4) ? (cluster.leader() ?? dice.pick(running)) : dice.pick(running)
}

function disturb(world: DisturbedWorld, dice: Dice, name: Disturbance, victim: Machine): void {
  const { cluster, operator, plan } = world
  const electionMs = plan.electionTicks * plan.tickMs
  const other = dice.pick(cluster.machines)
  const { host, slot } = victim
  switch (name) {
    case 'kill':
      return losePower(world, victim, dice, false)
    case 'power-loss':
      return losePower(world, victim, dice)
    case 'all-power-loss':
      for (const machine of cluster.running()) losePower(world, machine, dice)
      return
    case 'pause':
      return host.pause(dice.exponential(electionMs))
    case 'long-pause':
      return host.pause(electionMs * 3 + plan.leaseTtl * 1000 * dice.float() * 2)
    case 'cut-one-way':
      return cluster.network.cut(slot, other.slot)
    case 'half-open':
      cluster.network.cut(slot, other.slot)
      return split(world, [slot], false)
    case 'split': {
      const all = dice.shuffle(cluster.machines.map((machine) => machine.slot))
      return split(world, all.slice(0, 1 + dice.int(all.length)), dice.chance(0.7))
    }
    case 'isolate-leader':
      return split(world, [cluster.leader()?.slot ?? slot], dice.chance(0.7))
    case 'stuck-leader':
      return stickLeader(world, victim, electionMs * dice.between(1, 4))
    case 'clog':
      return cluster.network.clog(slot, other.slot, dice.exponential(electionMs * 2))
    case 'heal':
      return cluster.network.heal()
    case 'stall':
      return host.storage.stall(dice.exponential(electionMs * 2))
    case 'sync-error':
    case 'disk-full':
      return failDisk(world, victim, dice, name === 'disk-full')
    case 'bit-flip':
      return flip(world, victim, dice)
    case 'old-image':
      return rollBack(world, victim, dice)
    case 'clock-jump':
      return host.clock.jump(world.timeline.now(), dice.exponential(electionMs * 5))
    case 'add-learner':
      return operator.add(dice.chance(0.7))
    case 'remove-member':
      return operator.remove(host.member)
    case 'replace-member':
      operator.add(true)
      return operator.remove(host.member)
    case 'reuse-id':
      return impose(world, victim)
    case 'move-leader':
      return operator.moveLeader()
    case 'mass-expiry':
      return grantMany(world, MASS, dice, 30)
    case 'misread':
      return misread(world, victim, dice)
    case 'swap-member':
      return operator.swap(host.member)
    case 'upgrade':
      return change(world, victim, newerThan)
    case 'downgrade':
      return change(world, victim, olderThan)
  }
}

/** It wakes up cut off from those who have chosen another meanwhile, but not from its clients. */
function stickLeader(world: ClientWorld, victim: Machine, ms: number): void {
  const leader = world.cluster.leader() ?? victim
  leader.host.pause(ms)
  split(world, [leader.slot], true)
}

/** The process will end by itself sooner or later; then it comes back. */
function failDisk(world: ClientWorld, machine: Machine, dice: Dice, isFull: boolean): void {
  const { storage } = machine.host
  if (isFull) storage.setFull(true)
  else storage.failNextSync()
  for (const after of [500, 1500, 3000]) restartLater(world, machine, after + dice.int(500))
}
