/** Who takes part changes: coordinators replaced, leadership moved, workers added and drained. */
import { setTimeout as delay } from 'node:timers/promises'
import type { AdminClient } from '../../../coord/client/admin.ts'
import { type Coordinator, loseDisk } from '../cast/coordinators.ts'
import { type Begin, coordinatorOf, NothingToHit, type Stage, unharmed, workerOf } from './stage.ts'

/** A change that finds no quorum asks again until then; longer than anything that is in its way. */
const CHANGE_MS_MAX = 90_000
const ASK_EVERY_MS = 500
/** The exit code of what only its surroundings keep from working, see docs/errors.md. */
const ENVIRONMENT = 3

/** Asks until it is so; `what` says what was waited for. */
async function untilDone(what: string, isDone: () => Promise<boolean>): Promise<void> {
  let last = ''
  for (const end = performance.now() + CHANGE_MS_MAX; performance.now() < end;) {
    const done = await isDone().catch((error: unknown) => {
      last = `, last ${String(error)}`
      return false
    })
    if (done) return
    await delay(ASK_EVERY_MS)
  }
  throw new Error(`${what}: not within ${CHANGE_MS_MAX} ms${last}`)
}

/**
 * Its disk is gone, and a newcomer at its address takes its place. As an operator would: the others are
 * asked first, then it starts with an empty folder.
 */
const replaceCoordinator: Begin = async ({ stage, fault }) => {
  const coordinator = coordinatorOf(stage, fault.hosts[0]!)
  const { admin } = stage.coordinators
  const id = await memberAt(stage, coordinator.endpoint)
  unharmed(coordinator.actor)
  await coordinator.actor.kill()
  await loseDisk(coordinator)
  const replaced = (async () => {
    const peerUrls = [`http://${coordinator.endpoint}`]
    await untilDone(`replace ${coordinator.actor.name}`, async () => {
      const { members } = await admin.memberList()
      // An answer that was lost: the newcomer is in the list already.
      if (members.some((member) => member.id !== id && member.peerUrls.includes(peerUrls[0]!)))
        return true
      await admin.memberAdd({ peerUrls, isLearner: true, replaces: id })
      return true
    })
    coordinator.joinFromNowOn()
    await takePart(coordinator, async () => {
      const { members } = await admin.memberList()
      const there = members.filter(({ peerUrls: urls }) => urls.includes(peerUrls[0]!))
      return there.length === 1 && there[0]!.id !== id && !there[0]!.isLearner
    })
  })()
  replaced.catch(() => undefined)
  return () => replaced
}

/** A newcomer starts; where no majority answers it says so and ends, and is started again. */
async function takePart({ actor }: Coordinator, isIn: () => Promise<boolean>): Promise<void> {
  actor.excused = [ENVIRONMENT]
  actor.start()
  await untilDone(`${actor.name} takes part`, isIn)
  actor.excused = []
}

async function memberAt({ coordinators }: Stage, endpoint: string): Promise<bigint> {
  const { members } = await coordinators.admin.memberList({ linearizable: false })
  const found = members.find(({ peerUrls }) => peerUrls.includes(`http://${endpoint}`))
  if (!found) throw new Error(`no member is at ${endpoint}`)
  return found.id
}

const moveLeader: Begin = async ({ stage, fault }) => {
  const { coordinators } = stage
  const leader = await coordinators.leader()
  if (!leader) throw new NothingToHit('nobody leads')
  const { members } = await coordinators.admin.memberList({ linearizable: false })
  const others = members.filter(({ id, isLearner }) => id !== leader.id && !isLearner)
  const target = others[Math.floor(fault.degree * others.length)]
  if (!target) throw new NothingToHit('nobody else could lead')
  const from = coordinatorOf(stage, leader.name).endpoint
  // It may be refused or lost on the way: whether it is obeyed is not what this is about.
  await coordinators.admin.moveLeader(from, target.id, { timeoutMs: 3_000 }).catch(() => undefined)
  return () => Promise.resolve()
}

/** Every other time as a learner that the cluster promotes by itself, else as a voter at once. */
const addCoordinator: Begin = async ({ stage, fault }) => {
  const spare = coordinatorOf(stage, fault.hosts[0]!)
  const { admin } = stage.coordinators
  if (spare.actor.state() !== 'down') throw new NothingToHit(`${spare.actor.name} runs`)
  const joined = join(spare, admin, fault.degree < 0.5)
  joined.catch(() => undefined)
  return async () => {
    await joined
    await leave(spare, admin)
  }
}

async function join(newcomer: Coordinator, admin: AdminClient, isLearner: boolean): Promise<void> {
  const { name } = newcomer.actor
  await untilDone(`add ${name}`, async () => {
    const peerUrls = [`http://${newcomer.endpoint}`]
    if (!(await memberOf(newcomer, admin))) await admin.memberAdd({ peerUrls, isLearner })
    return true
  })
  await takePart(newcomer, async () => {
    const member = await memberOf(newcomer, admin)
    // Its name is known once it has been up: before that it may not have heard that it was announced.
    return member?.isLearner === false && member.name === name
  })
}

/** Whoever is removed has to go by itself, also when it leads. */
async function leave(coordinator: Coordinator, admin: AdminClient): Promise<void> {
  const { actor } = coordinator
  actor.isToEnd = true
  await untilDone(`remove ${actor.name}`, async () => {
    const member = await memberOf(coordinator, admin)
    if (member) await admin.memberRemove(member.id)
    return true
  })
  await untilDone(`${actor.name} goes`, async () => actor.state() === 'down')
  actor.isToEnd = false
  await loseDisk(coordinator)
}

async function memberOf({ endpoint }: Coordinator, admin: AdminClient) {
  const { members } = await admin.memberList()
  return members.find(({ peerUrls }) => peerUrls.includes(`http://${endpoint}`))
}

const addWorker: Begin = async ({ stage: { spare, stopMs } }) => {
  if (spare.actor.state() !== 'down') throw new NothingToHit(`${spare.actor.name} runs`)
  spare.actor.start()
  return () => spare.actor.terminate(stopMs)
}

const drainWorker: Begin = async ({ stage, fault }) => {
  const { name } = workerOf(stage, fault.hosts[0]!).actor
  // The catalog may be away just then, as it may be for an operator.
  await untilDone(`cordon ${name}`, () => stage.cordon(name, true).then(() => true))
  return () => untilDone(`uncordon ${name}`, () => stage.cordon(name, false).then(() => true))
}

export const MEMBERS = {
  'replace-coordinator': replaceCoordinator,
  'move-leader': moveLeader,
  'add-coordinator': addCoordinator,
  'add-worker': addWorker,
  'drain-worker': drainWorker,
} satisfies { readonly [kind: string]: Begin }
