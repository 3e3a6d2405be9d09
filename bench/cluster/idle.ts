/**
 * A cluster that does nothing: fifty simulated workers, each with a session and a live view as a real one
 * has them, ten thousand claims, three coordinators. What do the coordinators take for it?
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createCoordClient } from '../../coord/client/create.ts'
import type { Membership } from '../../lease/coordination.ts'
import { createCoordination } from '../../lease/create.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { startCoordCluster } from '../../test/support/coord-cluster.ts'
import { bundleHakiri, RUNTIME_ENV } from '../coord/contenders.ts'
import { memoryOf, type ProcessMemory } from '../coord/process-memory.ts'
import { log } from '../report.ts'
import { cpuOfTree } from './proc.ts'

const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
const TTL_MS = 10_000
const SETTLE_MS = 30_000

export type IdleResult = {
  readonly sessions: number
  readonly claims: number
  readonly seconds: number
  /** One entry a coordinator. */
  readonly coordinators: readonly {
    /** Of one core. */
    readonly cpuShare: number
    readonly memory: ProcessMemory
  }[]
}

export async function measureIdle(
  sessions: number,
  claims: number,
  seconds: number,
): Promise<IdleResult> {
  const command = await bundleHakiri()
  await using cluster = await startCoordCluster({ members: 3, command, env: RUNTIME_ENV })
  await using cleaning = new AsyncDisposableStack()
  const forever = new AbortController().signal
  const members: Membership[] = []
  for (let n = 0; n < sessions; n++) {
    const own = cleaning.use(await join(cluster.endpoints, n, forever))
    members.push(own.membership)
  }
  const each = claims / sessions
  for (const [n, membership] of members.entries()) {
    const units = Array.from({ length: each }, (_, at) => `pipeline/shard-${n * each + at}`)
    const results = await membership.claim(units, forever)
    if (results.some(({ kind }) => kind !== 'claimed')) throw new Error('a claim was not had')
  }
  log(
    `idle: ${sessions} sessions, ${claims} claims; quiet for ${SETTLE_MS / 1000} s, then ${seconds} s`,
  )
  await delay(SETTLE_MS)
  const pids = cluster.members.map((member) => member.pid() ?? 0)
  const [began, before] = [performance.now(), pids.map(cpuOfTree)]
  await delay(seconds * 1000)
  const [took, after] = [(performance.now() - began) / 1000, pids.map(cpuOfTree)]
  if (members.some(({ lost }) => lost.aborted)) throw new Error('a session was lost')
  const coordinators = await Promise.all(
    pids.map(async (pid, n) => ({
      cpuShare: Math.round((((after[n] ?? 0) - (before[n] ?? 0)) / took) * 10_000) / 10_000,
      memory: await memoryOf(pid),
    })),
  )
  return { sessions, claims, seconds: Math.round(took), coordinators }
}

/** A connection, a session and a view of its own, as every worker has them. */
async function join(endpoints: readonly string[], n: number, signal: AbortSignal) {
  await using cleaning = new AsyncDisposableStack()
  const client = cleaning.use(
    createCoordClient({ endpoints, attemptMs: 5_000, readMs: 10_000 }, PARTS),
  )
  const parts = { ...PARTS, prefix: 'hakiri/bench/', isAlive: () => true }
  const coordination = cleaning.use(createCoordination(client, parts))
  cleaning.use(coordination.watch(() => undefined))
  const identity = {
    name: `w${n}`,
    incarnation: systemRandom.uuid(),
    machine: '',
    pid: process.pid,
    address: `127.0.0.1:${7_700 + n}`,
    slots: 4,
    unitsMax: 40_000,
    labels: {},
    version: '0',
    protocol: { oldest: 1, newest: 1 },
    startedAt: 0,
  }
  const membership = cleaning.use(await coordination.join(identity, TTL_MS, signal))
  const own = cleaning.move()
  return { membership, [Symbol.asyncDispose]: () => own[Symbol.asyncDispose]() }
}
