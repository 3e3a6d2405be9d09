/**
 * A cluster under random faults: messages are lost, doubled and overtaken, disks lag, members crash,
 * leadership and membership move. One seed gives one run; afterwards everything heals and the
 * cluster must agree.
 */
import type { MemberId } from '../../coord/raft/types.ts'
import { bytesOf, createLab } from './lab.ts'
import type { Lab } from './lab.ts'
import { createOracle } from './oracle.ts'
import type { Oracle } from './oracle.ts'

const EVERYBODY: readonly MemberId[] = [1n, 2n, 3n, 4n, 5n]

export type ChaosResult = {
  readonly committed: number
  readonly reads: number
  readonly changes: number
  readonly snapshots: number
  readonly maxTerm: number
}

type Chaos = {
  readonly lab: Lab
  readonly oracle: Oracle
  readonly random: () => number
  readonly pick: <T>(items: readonly T[]) => T
  readonly counts: { commands: number; reads: number; changes: number; snapshots: number }
}

/** Runs `steps` random steps and heals; throws at the first breach. */
export function runChaos(seed: number, steps: number): ChaosResult {
  const random = seeded(seed)
  const counts = { commands: 0, reads: 0, changes: 0, snapshots: 0 }
  const oracle = createOracle((id) => lab.member(id).disk)
  const lab: Lab = createLab(
    {
      voters: [1n, 2n, 3n],
      strangers: [4n, 5n],
      random,
      config: { electionTicks: 5, heartbeatTicks: 1, appendBytesMax: 40, uncommittedBytesMax: 400 },
    },
    {
      ...oracle.observer,
      onReady(member, ready) {
        if (ready.snapshot) counts.snapshots++
        for (const { context, index } of ready.reads) {
          oracle.readAnswered(member.id, context, index)
          counts.reads++
        }
      },
      onApply(member, entry) {
        oracle.observer.onApply?.(member, entry)
        if (entry.kind === 'membership') counts.changes++
      },
    },
  )
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const chaos: Chaos = { lab, oracle, random, pick, counts }
  const weights = ACTIONS.map(([weight]) => weight * (0.2 + random()))
  for (let count = 0; count < steps; count++) {
    act(chaos, weights)
    oracle.check(lab)
  }
  heal(chaos)
  const maxTerm = Math.max(...[...lab.members.values()].map(({ raft }) => raft.status().term))
  return { committed: oracle.committed, maxTerm, ...counts }
}

type Action = (chaos: Chaos, at: MemberId) => void

const ACTIONS: readonly (readonly [number, Action])[] = [
  [30, ({ lab }, at) => void lab.take(at)],
  [25, ({ lab }, at) => void (lab.member(at).isUp && lab.sync(at))],
  [60, deliverOne],
  [6, ({ lab, random }) => lab.lose(takeMessage(lab, random))],
  [4, doubleOne],
  [14, ({ lab }, at) => lab.member(at).isUp && lab.member(at).raft.tick()],
  [8, proposeOne],
  [6, askRead],
  [0.3, ({ lab }, at) => lab.member(at).isUp && lab.member(at).raft.campaign()],
  [0.3, ({ lab }, at) => lab.member(at).isUp && lab.crash(at)],
  [1.5, ({ lab }, at) => lab.member(at).isUp || lab.restart(at)],
  [0.5, ({ lab, pick }, at) => lab.member(at).raft.transferLeadership(pick(EVERYBODY))],
  [1.5, changeOne],
  [1, compactOne],
  [0.3, ({ lab, pick }, at) => lab.member(at).raft.reportUnreachable(pick(EVERYBODY))],
  [0.3, ({ lab, pick }, at) => lab.member(at).raft.reportGone(pick(EVERYBODY))],
]

function act(chaos: Chaos, weights: readonly number[]): void {
  let lot = chaos.random() * weights.reduce((sum, weight) => sum + weight, 0)
  const place = weights.findIndex((weight) => (lot -= weight) < 0)
  const [, action] = ACTIONS[Math.max(place, 0)] as (typeof ACTIONS)[number]
  const needsMessage = action === deliverOne || action === doubleOne || place === 3
  if (needsMessage && chaos.lab.net.length === 0) return
  action(chaos, chaos.pick(EVERYBODY))
}

/** Mostly the oldest, sometimes any. */
function takeMessage(lab: Lab, random: () => number): Lab['net'][number] {
  const place = random() < 0.7 ? 0 : Math.floor(random() * lab.net.length)
  return lab.net.splice(place, 1)[0] as Lab['net'][number]
}

function deliverOne({ lab, random }: Chaos): void {
  lab.deliver(takeMessage(lab, random))
}

function doubleOne({ lab, random, pick }: Chaos): void {
  const message = pick(lab.net)
  if (message.kind === 'snapshot') return
  const place = Math.floor(random() * (lab.net.length + 1))
  lab.net.splice(place, 0, message)
}

function proposeOne({ lab, counts, random }: Chaos, at: MemberId): void {
  if (!lab.member(at).isUp) return
  const size = 1 + Math.floor(random() * 3)
  const commands = Array.from({ length: size }, () => bytesOf(`c${++counts.commands}`))
  lab.member(at).raft.propose(commands)
}

function askRead({ lab, oracle }: Chaos, at: MemberId): void {
  if (!lab.member(at).isUp) return
  const { outcome, context } = lab.member(at).raft.readIndex()
  if (outcome !== 'no-leader') oracle.readAsked(at, context)
}

const CHANGES = ['+4', '+5', '~4', '~5', '-4', '-5', '-1', '-2', '-3', '+1', '+2', '+3', '~2']

function changeOne({ lab, pick, random }: Chaos, at: MemberId): void {
  if (!lab.member(at).isUp) return
  const words = random() < 0.5 ? [pick(CHANGES)] : [pick(CHANGES), pick(CHANGES), pick(CHANGES)]
  if (random() < 0.2) words.unshift('joint')
  lab.change(at, words.join(' '))
}

function compactOne({ lab, random }: Chaos, at: MemberId): void {
  const { isUp, raft, waiting } = lab.member(at)
  // An image is not written over a snapshot that is still on its way to the disk.
  if (!isUp || waiting.some(({ ready }) => ready.snapshot)) return
  const { firstIndex, applied } = raft.status()
  const index = applied - Math.floor(random() * 4)
  if (index >= firstIndex) lab.compact(at, index)
}

/** No more faults: a leader is found, everybody agrees, and a new command goes through. */
function heal({ lab, oracle }: Chaos): void {
  for (const { id, isUp } of lab.members.values()) if (!isUp) lab.restart(id)
  for (let rounds = 0; rounds < 300; rounds++) {
    for (const { raft } of lab.members.values()) raft.tick()
    lab.settle()
    oracle.check(lab)
    const [leader] = [...lab.members.values()].filter(({ raft }) => raft.status().role === 'leader')
    if (!leader) continue
    const { membership, commit } = leader.raft.status()
    const counted = [...membership.voters, ...membership.outgoing, ...membership.learners]
    const isAgreed = counted.every((id) => lab.member(id).raft.status().applied === commit)
    if (!isAgreed || membership.outgoing.length > 0) continue
    if (leader.image.commands.at(-1) === 'healed') return
    leader.raft.propose([bytesOf('healed')])
  }
  throw new Error('liveness: the healed cluster does not agree')
}

/** A small generator of good enough lots; the same seed gives the same run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
