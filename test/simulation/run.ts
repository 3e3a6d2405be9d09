/**
 * One seed from beginning to end: a cluster forms, clients work while everything goes wrong, then all
 * faults end and it has to recover: a leader, answers for all who wait, equal states everywhere.
 */
import { createHistory } from './checks/history.ts'
import type { History } from './checks/history.ts'
import { createLeaseChecker } from './checks/leases.ts'
import type { LeaseChecker } from './checks/leases.ts'
import { answeredRange } from './checks/answer-text.ts'
import { Violation, demand } from './checks/violation.ts'
import { createClient, createCompactor, write } from './clients.ts'
import { createCluster } from './cluster.ts'
import type { Cluster, Machine } from './cluster.ts'
import { MASS, createDisturbances } from './disturb.ts'
import type { DisturbedWorld } from './disturb.ts'
import { CALM_NETWORK } from './network.ts'
import { createOperator, inList } from './operator.ts'
import { drawPlan } from './plan.ts'
import type { Plan, PlanOptions } from './plan.ts'
import { createDice, hashText } from './random.ts'
import type { Dice } from './random.ts'
import { commandOf, putOf, rangeOf } from './requests.ts'
import { membersFor, planRestore } from './restore.ts'
import { createSession, grantMany } from './sessions.ts'
import { createTimeline } from './timeline.ts'
import type { Timeline } from './timeline.ts'
import { createWatcher } from './watchers.ts'
import type { Watcher } from './watchers.ts'

export type RunOptions = PlanOptions & { readonly trace?: (line: string) => void }

export type RunResult = {
  readonly seed: number
  /** Undefined if every promise was kept. */
  readonly failure: string | undefined
  /** Equal for equal runs. */
  readonly digest: number
  readonly events: number
  readonly commits: number
  readonly counts: { readonly [name: string]: number }
}

type World = DisturbedWorld & {
  readonly watchers: readonly Watcher[]
  readonly history: History
  readonly leases: LeaseChecker
  open: boolean
}

export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const plan = drawPlan(seed, options)
  const dice = createDice(seed).fork('world')
  const timeline = createTimeline()
  let digest = 0x811c9dc5
  const trace = (line: () => string): void => {
    const text = line()
    digest = hashText(text, digest)
    options.trace?.(text)
  }
  options.trace?.(JSON.stringify(plan))
  const firstMembers = membersFor('simulation', plan.nodes)
  const cluster = createCluster({
    plan,
    dice: dice.fork('cluster'),
    timeline,
    trace,
    firstMembers,
  })
  let failure: string | undefined
  let world: World | undefined
  try {
    world = build(plan, dice, timeline, cluster)
    timeline.run(plan.faultyMs)
    recover(world)
  } catch (error) {
    failure = error instanceof Violation ? error.message : `crash: ${(error as Error).stack}`
  }
  return {
    seed,
    failure,
    digest,
    events: timeline.count(),
    commits: cluster.raft.committedIndex(),
    counts: { ...world?.history.counts, ...world?.leases.counts, ...cluster.network.counts },
  }
}

function build(plan: Plan, dice: Dice, timeline: Timeline, cluster: Cluster): World {
  const { firstMembers } = cluster
  for (const { id } of firstMembers) cluster.addMachine(id, firstMembers, false)
  for (const machine of cluster.machines)
    timeline.after(dice.float() * 100, () => void cluster.start(machine))
  cluster.network.setFaults(plan.network)
  const history = createHistory(cluster.truth)
  const leases = createLeaseChecker({
    truth: cluster.truth,
    now: () => timeline.now(),
    elapsed: (member, fromMs, toMs) => {
      const clock = cluster.machines.find(({ host }) => host.member === member)!.host.clock
      return clock.at(toMs) - clock.at(fromMs)
    },
    birth: ({ index, term }) => {
      const entry = cluster.raft.committed(index)?.entry
      return entry && entry.term === term ? cluster.raft.birth(entry) : undefined
    },
    areClocksTrue: !plan.isDrifting && !plan.disturbances.some(([name]) => name === 'clock-jump'),
  })
  const watchers = Array.from({ length: plan.watchers }, (_, nth) =>
    createWatcher(cluster, timeline, `watch ${nth}`, dice.fork(`watcher ${nth}`)),
  )
  const waiting = { count: 0 }
  const base = { plan, timeline, cluster, history, leases, waiting, isOpen: () => world.open }
  const operator = createOperator(base, dice.fork('operator'))
  const world: World = { ...base, operator, watchers, open: true }
  populate(world, dice)
  return world
}

function populate(world: World, dice: Dice): void {
  const { plan, timeline } = world
  const begin = (act: () => void): void => void timeline.after(dice.float() * 200, act)
  for (let nth = 0; nth < plan.clients; nth++)
    begin(createClient(world, nth, dice.fork(`client ${nth}`)))
  for (let nth = 0; nth < plan.sessions; nth++)
    begin(createSession(world, 100 + nth, dice.fork(`session ${nth}`)))
  if (plan.compactEvery > 0) begin(createCompactor(world, 200, dice.fork('compactor')))
  timeline.after(1000, createDisturbances(world, dice.fork('disturbances')))
  const ownMass = dice.fork('mass')
  if (plan.massLeases > 0)
    timeline.after(1000, () => grantMany(world, MASS, ownMass, plan.massLeases))
  if (plan.isRestored) planRestore(world, dice.fork('restore'))
  const look = (): void => {
    timeline.after(700, look)
    world.operator.reconcile()
  }
  look()
}

/** No more faults: what runs, runs well, and what stood still comes back. */
function calmDown({ cluster, timeline }: World): void {
  const { network } = cluster
  network.heal()
  network.setFaults(CALM_NETWORK)
  for (const machine of cluster.machines.toReversed()) {
    const { host } = machine
    host.storage.calm()
    if (machine.isImposter && !machine.isRetired) {
      machine.isRetired = true
      host.stop('power', true)
    }
    host.clock.setRate(timeline.now(), 1)
    if (!machine.isLost && !machine.isRetired && !machine.isImposter && !host.replica())
      demand(cluster.start(machine), 'refusal', () => `the good disk of ${host.member} is refused`)
  }
}

/** Whether more than half of the voters still have a disk. */
function canDecide({ cluster }: World): boolean {
  const voting = cluster.members().filter(({ isLearner }) => !isLearner)
  const gone = cluster.machines.filter(({ isLost, isRetired }) => isLost && !isRetired)
  const lost = voting.filter(({ id }) => gone.some(({ host }) => host.member === id))
  return lost.length * 2 < voting.length
}

/** Pauses and stalls that had begun, and starts that had been planned, are over after this. */
const LEFTOVERS_MS = 10_000
/** About what an entry takes in an append. */
const ENTRY_BYTES = 50

function recover(world: World): void {
  const { plan, timeline, cluster, history, leases, watchers, waiting } = world
  world.open = false
  calmDown(world)
  const electionMs = plan.electionTicks * plan.tickMs
  const manyMs = plan.massLeases * entryMs(plan)
  const calmMs = pausesEndMs(world)
  const until = (ms: number, isDone: () => boolean, what: string): void => {
    timeline.run(timeline.now() + ms, isDone)
    demand(isDone(), 'liveness', () => `${what} within ${ms.toFixed(0)} ms: ${summary(world)}`)
  }
  timeline.run(calmMs)
  calmDown(world)
  // A removal that waited in a log since before a disk was lost may have taken the majority: two
  // losses at once, after which nobody has promised to go on. What was safe stays so.
  if (!canDecide(world)) return compareAll(world)
  // An election timeout is up to twice the least one.
  until(20 * electionMs + 200, () => hasLeader(world), 'no leader')
  until(LEFTOVERS_MS, () => waiting.count === 0, 'requests wait')
  const [asked, last] = [new Set<bigint>(), new Set<bigint>()]
  // A snapshot may swallow an answer: whoever does not hear asks again.
  const writeLast = (machine: Machine, attempt: number): void => {
    const { member } = machine.host
    const put = commandOf(putOf('last', `#last.${member}.${attempt}|`))
    write(world, 300, machine, put, (result) => {
      if (result?.kind === 'applied') last.add(member)
      else timeline.after(100, () => writeLast(machine, attempt + 1))
    })
  }
  /** Who comes in meanwhile is asked too: a change may have waited behind much else. */
  const haveAll = (): boolean => {
    const all = voters(world)
    for (const machine of all.filter(({ host }) => !asked.has(host.member))) {
      asked.add(machine.host.member)
      writeLast(machine, 1)
    }
    return all.length > 0 && all.every(({ host }) => last.has(host.member))
  }
  until(10 * electionMs + 5000 + manyMs, haveAll, 'not every member takes a write')
  demand(last.size > 0, 'liveness', () => 'nobody takes a write')
  until(
    (plan.leaseTtl + 4) * 2000 + 20 * electionMs + LEFTOVERS_MS + manyMs,
    () => cluster.truth.model.leases.size === 0,
    'leases do not end',
  )
  until(LEFTOVERS_MS, () => areEqual(world), 'members do not become equal')
  until(LEFTOVERS_MS, () => isLevel(world), 'the level is not what all speak')
  for (const watcher of watchers) watcher.hurry()
  const top = cluster.truth.model.revision()
  until(
    LEFTOVERS_MS * 2,
    () => watchers.every(({ validator }) => validator.next() > top),
    'a watch stays behind',
  )
  leases.finish()
  history.finish()
  compareAll(world)
}

/** Time enough for one entry of very many: leases by the thousand may be on their way still. */
function entryMs({ appendBytesMax, inflightMax, syncMs, network }: Plan): number {
  const atOnce = inflightMax * Math.max(1, appendBytesMax / ENTRY_BYTES)
  const roundMs = syncMs + 2 * (network.delayMs + network.jitterMs)
  return Math.max(2, (2 * roundMs) / atOnce)
}

function pausesEndMs({ plan, timeline }: World): number {
  return (
    timeline.now() + LEFTOVERS_MS + plan.leaseTtl * 2000 + plan.electionTicks * plan.tickMs * 20
  )
}

/** Where everybody stands: what to look at first when a run does not recover. */
function summary({ cluster, watchers }: World): string {
  const machines = cluster.machines.map(({ host, isLost, isRetired, isImposter }) => {
    const status = host.replica()?.raftStatus()
    const marks = [
      isLost && 'lost',
      isRetired && 'retired',
      isImposter && 'imposter',
      !status && 'down',
    ]
    const { role, term, leader, commit, applied, lastIndex } = status ?? {}
    const words = status ? `${role} of ${leader} in ${term}, ${applied}/${commit}/${lastIndex}` : ''
    return `${host.member}: ${[...marks.filter(Boolean), words].join(' ')}`
  })
  const list = cluster.members().map(({ id, isLearner }) => `${id}${isLearner ? '?' : ''}`)
  const seen = watchers.map(({ validator }) => validator.next())
  return [...machines, `members ${list.join(' ')}`, `watches at ${seen.join(' ')}`].join('\n  ')
}

function hasLeader({ cluster }: World): boolean {
  const leader = cluster.leader()?.host
  const replica = leader?.replica()
  return (
    !!replica &&
    !!leader &&
    cluster
      .running()
      .every(
        ({ host }) => host.replica()!.leader === leader.member || replica.isRemoved(host.member),
      )
  )
}

function voters(world: World): Machine[] {
  const ids = new Set(
    world.cluster
      .members()
      .filter(({ isLearner }) => !isLearner)
      .map(({ id }) => id),
  )
  return inList(world).filter(
    ({ host, isLost }) => !isLost && host.replica() && ids.has(host.member),
  )
}

function areEqual(world: World): boolean {
  const applied = inList(world)
    .filter(({ isLost }) => !isLost)
    .map(({ host }) => host.replica()?.applied)
  return applied.every((index) => index === world.cluster.raft.committedIndex())
}

/** Nobody speaks less than the level, and nothing holds it back. */
function isLevel(world: World): boolean {
  // Whoever is gone may have been older.
  if (inList(world).some(({ host }) => !host.replica())) return true
  const replicas = inList(world).flatMap(({ host }) => host.replica() ?? [])
  const most = Math.min(...replicas.map((replica) => replica.protocols().max))
  return replicas.every((replica) => replica.protocols().min === most)
}

/** K3, and that what everybody holds is what the log says. */
function compareAll(world: World): void {
  const { truth } = world.cluster
  const everything = rangeOf('\0', { rangeEnd: Uint8Array.of(0) })
  const expected = truth.model.range(everything, truth.model.revision())
  const hashes = new Set<number>()
  for (const { host, isLost } of inList(world)) {
    if (isLost) continue
    const { store } = host.replica()!
    const [range, hash] = [store.range(everything), store.hash(0)]
    const told = range.ok ? answeredRange(range.value) : range.error
    demand(told === expected, 'R4', () => `${host.member} holds ${told}, not ${expected}`)
    if (hash.ok) hashes.add(hash.value.hash)
  }
  demand(hashes.size <= 1, 'K3', () => `hashes at the end: ${[...hashes].join(', ')}`)
}
