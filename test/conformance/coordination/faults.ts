/** Coordinators that die, freeze or cannot be reached: sessions end in time, views catch up. */
import type { ExecutionContext } from 'ava'
import type { Membership } from '../../../lease/coordination.ts'
import { startTcpProxy } from '../../support/tcp-proxy.ts'
import {
  aborted,
  bytes,
  type CoordPlace,
  endpointAt,
  LATE_MS,
  newClient,
  PARTS,
} from '../coord-client/kit.ts'
import {
  type Cluster,
  type CoordinationSuite,
  identity,
  joined,
  newCluster,
  NEVER,
  refusalOf,
  sorted,
  unitNames,
  untilView,
} from './kit.ts'

type FaultSuite = CoordinationSuite & { readonly newPlace: () => Promise<CoordPlace> }

const TTL_MS = 3_000
const OPTIONS = { attemptMs: 700, readMs: 4_000 }

export function faultTests(suite: FaultSuite): void {
  outageTests(suite)
  deadlineTests(suite)
}

/** A coordinator of its own, and a cluster over it. */
async function ownCluster(
  t: ExecutionContext,
  { newPlace }: FaultSuite,
): Promise<{ readonly place: CoordPlace; readonly cluster: Cluster }> {
  const place = await newPlace()
  t.teardown(() => place[Symbol.asyncDispose]())
  const endpoint = endpointAt(place, 0)
  const cluster = await newCluster(t, () => Promise.resolve(newClient(t, [endpoint], OPTIONS)))
  return { place, cluster }
}

function outageTests(suite: FaultSuite): void {
  const { test, name } = suite

  test(`${name}: over the death of the coordinator sessions and claims stay, calls say so, the view goes on`, async (t) => {
    const { place, cluster } = await ownCluster(t, suite)
    const [member] = place.members
    if (!member) throw new RangeError('no member')
    const watching = await cluster.coordination()
    const a = await joined(cluster, 'a', { ttlMs: 15_000 })
    await a.claim(['p/1'], NEVER)
    const seen: number[] = []
    await using _ = watching.watch(({ revision }) => void seen.push(revision))
    await untilView(watching, ({ claims }) => claims.size === 1)
    await member.kill()
    await refusalOf(t, watching.view(NEVER), 'COORD_UNREACHABLE')
    const joining = (await cluster.coordination()).join(identity('b'), TTL_MS, NEVER)
    await refusalOf(t, joining, 'COORD_UNREACHABLE')
    t.false(a.lost.aborted)
    await member.start()
    t.deepEqual(await untilClaimed(a, ['p/1', 'p/2']), [
      { unit: 'p/1', kind: 'claimed' },
      { unit: 'p/2', kind: 'claimed' },
    ])
    await untilView(watching, ({ claims }) => claims.size === 2)
    t.false(a.lost.aborted)
    t.deepEqual(
      seen,
      seen.toSorted((x, y) => x - y),
    )
  })

  test(`${name}: a view that was cut off while its history was compacted catches up`, async (t) => {
    const { place, cluster } = await ownCluster(t, suite)
    await using proxy = await startTcpProxy(endpointAt(place, 0))
    const far = await newCluster(t, () => Promise.resolve(newClient(t, [proxy.endpoint], OPTIONS)))
    const a = await joined(cluster, 'a')
    const units = unitNames(200)
    await a.claim(units, NEVER)
    const watching = await far.coordination({ prefix: cluster.prefix })
    await untilView(watching, ({ claims }) => claims.size === 200)
    await using live = watching.watch(() => undefined)
    while (!live.current) await PARTS.clock.sleep(10)
    await proxy.refuse()
    proxy.reset()
    await a.release(units.slice(0, 50), NEVER)
    await a.claim(['p/late'], NEVER)
    const { revision } = await cluster.raw.put({ key: bytes('elsewhere') })
    await cluster.raw.compact(revision)
    t.is(live.current.claims.size, 200, 'it knows no better yet')
    await proxy.accept()
    const expected = await (await cluster.coordination()).view(NEVER)
    const deadline = PARTS.clock.monotonic() + 15_000
    while (live.current.claims.size !== 151) {
      if (PARTS.clock.monotonic() > deadline) throw new Error(`sees ${live.current.claims.size}`)
      await PARTS.clock.sleep(10)
    }
    t.deepEqual(sorted(live.current.claims), sorted(expected.claims))
  })

  test(`${name}: a claim whose answer is lost is settled before it is told, and nothing of it is left over`, async (t) => {
    const { place, cluster } = await ownCluster(t, suite)
    await using proxy = await startTcpProxy(endpointAt(place, 0))
    const far = await newCluster(t, () => Promise.resolve(newClient(t, [proxy.endpoint], OPTIONS)))
    const coordination = await far.coordination({ prefix: cluster.prefix })
    const a = await joined(cluster, 'a', { ttlMs: 15_000, coordination })
    await a.claim(['p/0'], NEVER)
    proxy.stall('to-client')
    const claiming = a.claim(['p/1', 'p/2'], NEVER)
    await untilView(await cluster.coordination(), ({ claims }) => claims.size === 3)
    proxy.reset()
    proxy.flow()
    t.deepEqual(await claiming, [
      { unit: 'p/1', kind: 'claimed' },
      { unit: 'p/2', kind: 'claimed' },
    ])
    t.is((await cluster.raw.range({ key: cluster.keys.claim('p/1') })).kvs[0]?.version, 1)
    await a.release(['p/1', 'p/2'], NEVER)
    t.deepEqual([...(await (await cluster.coordination()).view(NEVER)).claims.keys()], ['p/0'])
  })
}

/** Claims again as long as the coordinator cannot be reached. */
async function untilClaimed(worker: Membership, units: readonly string[]) {
  const deadline = PARTS.clock.monotonic() + 15_000
  for (;;) {
    try {
      return await worker.claim(units, NEVER)
    } catch (error) {
      if (PARTS.clock.monotonic() > deadline) throw error
      await PARTS.clock.sleep(50)
    }
  }
}

function deadlineTests(suite: FaultSuite): void {
  const { test, name } = suite

  test(`${name}: when the coordinator freezes, a holder gives up at its own deadline and refuses from then on (L2)`, async (t) => {
    const { place, cluster } = await ownCluster(t, suite)
    const [member] = place.members
    if (!member) throw new RangeError('no member')
    const a = await joined(cluster, 'a', { ttlMs: TTL_MS })
    const b = await joined(cluster, 'b', { ttlMs: 20_000 })
    const term = await a.campaign(NEVER)
    await a.claim(['p/1'], NEVER)
    await untilRenewed(a)
    member.pause()
    const until = a.certainUntil()
    t.true(until <= PARTS.clock.monotonic() + TTL_MS)
    const claiming = a.claim(['p/2'], NEVER)
    await refusalOf(t, claiming, 'SESSION_LOST')
    const late = PARTS.clock.monotonic() - until
    t.true(late >= 0 && late < LATE_MS, `${late} ms after it stopped being certain`)
    t.true(a.lost.aborted)
    t.true(term.lost.aborted)
    await refusalOf(t, a.claim(['p/1'], NEVER), 'SESSION_LOST')
    member.resume()
    t.deepEqual(await untilClaimed(b, ['p/3']), [{ unit: 'p/3', kind: 'claimed' }])
    const [free] = await untilFree(b, 'p/1')
    t.is(free?.kind, 'claimed')
    t.false(b.lost.aborted)
  })

  test(`${name}: a holder that is cut off has given up before anybody else can claim (L2)`, async (t) => {
    const { place, cluster } = await ownCluster(t, suite)
    await using proxy = await startTcpProxy(endpointAt(place, 0))
    const far = await newCluster(t, () => Promise.resolve(newClient(t, [proxy.endpoint], OPTIONS)))
    const coordination = await far.coordination({ prefix: cluster.prefix })
    const a = await joined(cluster, 'a', { ttlMs: TTL_MS, coordination })
    const b = await joined(cluster, 'b', { ttlMs: 20_000 })
    await a.claim(['p/1'], NEVER)
    await untilRenewed(a)
    let lostAt = Infinity
    a.lost.addEventListener('abort', () => (lostAt = PARTS.clock.monotonic()))
    // Renewals still arrive for a while, their answers do not: the worst case for the holder.
    proxy.stall('to-client')
    await untilFree(b, 'p/1')
    const takenAt = PARTS.clock.monotonic()
    t.true(lostAt < takenAt, `given up ${takenAt - lostAt} ms before it was claimed`)
    await aborted(a.lost, 1)
  })
}

/** The deadline comes from a renewal once it has moved. */
async function untilRenewed(worker: Membership): Promise<void> {
  const first = worker.certainUntil()
  const deadline = PARTS.clock.monotonic() + TTL_MS
  while (worker.certainUntil() <= first) {
    if (PARTS.clock.monotonic() > deadline) throw new Error('nothing was renewed')
    await PARTS.clock.sleep(10)
  }
}

/** Claims without a pause until it succeeds. */
async function untilFree(worker: Membership, unit: string) {
  const deadline = PARTS.clock.monotonic() + 20_000
  for (;;) {
    const result = await worker.claim([unit], NEVER)
    if (result[0]?.kind === 'claimed') return result
    if (PARTS.clock.monotonic() > deadline) throw new Error(`${unit} is not free`)
  }
}
