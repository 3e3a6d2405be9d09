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
  readonly renewals: number
  /** Gone although their TTL after the last acknowledged renewal, from when it was sent, was not over. */
  readonly early: number
  /** Gone after it: this client, or what it runs on, did not get a renewal through in time. */
  readonly lapsed: number
  /** How often the stream ended and was opened anew. */
  readonly reopened: number
}

const TTL_S = 20

/** Holds leases of 20 s for so long, each renewed in time; counts those that were lost all the same. */
export async function holdLeases(
  cluster: BenchCluster,
  leases: number,
  minutes: number,
): Promise<ManyLeases> {
  await using client = clientOf(cluster)
  const heldUntil = new Map<bigint, number>()
  const held = (id: bigint, sentMs: number): void =>
    void heldUntil.set(id, Math.max(heldUntil.get(id) ?? 0, sentMs + TTL_S * 1000))
  let granted = 0
  const grant = async (): Promise<void> => {
    while (granted++ < leases) {
      const sentMs = performance.now()
      // On a machine that stands still for seconds a grant may fail; another is as good.
      const given = await client.leaseGrant(TTL_S).catch(() => undefined)
      if (given) held(given.id, sentMs)
      else granted--
    }
  }
  // Those that were granted first are renewed while others still are.
  const granting = Promise.all(Array.from({ length: GRANTS_AT_ONCE }, grant))
  const count = { renewals: 0, early: 0, lapsed: 0, reopened: 0 }
  const lose = (id: bigint): void => {
    const untilMs = heldUntil.get(id)
    if (untilMs === undefined) return
    heldUntil.delete(id)
    if (performance.now() < untilMs) count.early++
    else count.lapsed++
  }
  const end = performance.now() + minutes * 60_000
  while (performance.now() < end) {
    const over = new AbortController()
    /** Answers come in the order of the questions. */
    const sentMs: number[] = []
    const onAnswer = ({ id, ttl }: LeaseKeepAliveResponse): void => {
      count.renewals++
      const askedMs = sentMs.shift() ?? 0
      if (ttl > 0) held(id, askedMs)
      else lose(id)
    }
    const opened = await openKeepAlive(cluster, onAnswer, () => over.abort()).catch(() => undefined)
    if (!opened) continue
    using stream = opened
    const send = (id: bigint): void => {
      sentMs.push(performance.now())
      stream.send(id)
    }
    await renewUntil(end, over.signal, () => [...heldUntil.keys()], send)
    if (performance.now() < end) count.reopened++
  }
  await granting
  const alive = new Set(await client.leases())
  for (const id of heldUntil.keys()) if (!alive.has(id)) lose(id)
  return { leases, minutes, ...count }
}

/** A round takes a third of the TTL, evenly spread. */
async function renewUntil(
  end: number,
  over: AbortSignal,
  ids: () => readonly bigint[],
  send: (id: bigint) => void,
): Promise<void> {
  while (performance.now() < end && !over.aborted) {
    const started = performance.now()
    const all = ids()
    for (let part = 0; part < 60 && !over.aborted; part++) {
      for (let n = part; n < all.length; n += 60) send(all[n]!)
      await delay(Math.max(0, started + (part + 1) * 110 - performance.now()))
    }
  }
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
