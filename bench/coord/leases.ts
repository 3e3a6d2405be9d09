/** Renewals a second on one stream, and many leases that must not expire early. */
import { setTimeout as delay } from 'node:timers/promises'
import { createPool } from '../../coord/client/pool.ts'
import { leaseService, type LeaseKeepAliveResponse } from '../../proto/gen/rpc.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import type { BenchCluster } from './contenders.ts'
import { clientOf } from './throughput.ts'

const WINDOW = 256
const LEASES = 500
const GRANTS_AT_ONCE = 64

export async function measureRenewals(cluster: BenchCluster, seconds: number): Promise<number> {
  await using client = clientOf(cluster)
  const ids: bigint[] = []
  for (let n = 0; n < LEASES; n++) ids.push((await client.leaseGrant(120)).id)
  const done = Promise.withResolvers<void>()
  const started = performance.now()
  let [sent, answered] = [0, 0]
  const send = (): void => stream.send(ids[sent++ % ids.length]!)
  const onAnswer = ({ ttl }: LeaseKeepAliveResponse): void => {
    if (ttl <= 0) done.reject(new Error('a lease was lost under renewal'))
    answered++
    if (performance.now() - started > seconds * 1000) done.resolve()
    else send()
  }
  using stream = await openKeepAlive(cluster, onAnswer, done.reject)
  for (let n = 0; n < WINDOW; n++) send()
  await done.promise
  return Math.round(answered / ((performance.now() - started) / 1000))
}

export type ManyLeases = {
  readonly leases: number
  readonly minutes: number
  readonly lost: number
  readonly renewals: number
}

/** Holds leases of 20 s for so long, each renewed in time; counts those that were lost all the same. */
export async function holdLeases(
  cluster: BenchCluster,
  leases: number,
  minutes: number,
): Promise<ManyLeases> {
  await using client = clientOf(cluster)
  const ids: bigint[] = []
  const grant = async (): Promise<void> => {
    while (ids.length < leases) ids.push((await client.leaseGrant(20)).id)
  }
  await Promise.all(Array.from({ length: GRANTS_AT_ONCE }, grant))
  const lost = new Set<bigint>()
  let renewals = 0
  let failure: Error | undefined
  const onAnswer = ({ id, ttl }: LeaseKeepAliveResponse): void => {
    renewals++
    if (ttl <= 0) lost.add(id)
  }
  using stream = await openKeepAlive(cluster, onAnswer, (error) => (failure = error))
  const end = performance.now() + minutes * 60_000
  // A round takes a third of the TTL, evenly spread.
  while (performance.now() < end) {
    const started = performance.now()
    for (let part = 0; part < 60; part++) {
      for (let n = part; n < ids.length; n += 60) stream.send(ids[n]!)
      await delay(Math.max(0, started + (part + 1) * 110 - performance.now()))
    }
  }
  const alive = new Set(await client.leases())
  for (const id of ids) if (!alive.has(id)) lost.add(id)
  if (failure) throw failure
  return { leases: ids.length, minutes, lost: lost.size, renewals }
}

type KeepAlive = Disposable & { send(id: bigint): void }

/** One stream for the renewals of all leases, as many under way as there are. */
async function openKeepAlive(
  cluster: BenchCluster,
  onAnswer: (answer: LeaseKeepAliveResponse) => void,
  onEnd: (error: Error) => void,
): Promise<KeepAlive> {
  const pool = createPool(
    { endpoints: cluster.members.map(({ endpoint }) => endpoint), attemptMs: 5_000, readMs: 5_000 },
    { clock: systemClock, random: systemRandom, logger: silentLogger },
  )
  const stream = await pool.stream(
    leaseService.leaseKeepAlive,
    { onAnswer, onEnd },
    { limitMs: 5_000 },
  )
  return {
    send: (id) => stream.send({ id }),
    [Symbol.dispose]: () => {
      stream.cancel()
      pool.close()
    },
  }
}
