/** The planner's office: one at a time, and whoever lost it writes nothing. */
import type { CoordClient } from '../../../coord/client/client.ts'
import type { Move, PlannerTerm } from '../../../lease/coordination.ts'
import { createCoordination } from '../../../lease/create.ts'
import { isProcessAlive } from '../../../lib/system/process.ts'
import { aborted, PARTS } from '../coord-client/kit.ts'
import {
  type CoordinationSuite,
  joined,
  LONG_MS,
  newCluster,
  NEVER,
  sorted,
  unitNames,
  untilView,
} from './kit.ts'

const toAll = (units: readonly string[], to: string | undefined): Move[] =>
  units.map((unit) => ({ unit, from: undefined, to }))

export function plannerTests(suite: CoordinationSuite): void {
  officeTests(suite)
  publishTests(suite)
}

function officeTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: one worker plans at a time; the next one as soon as it resigns or leaves`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const [a, b, c] = [
      await joined(cluster, 'a'),
      await joined(cluster, 'b'),
      await joined(cluster, 'c'),
    ]
    const terms: string[] = []
    const first = await a.campaign(NEVER)
    const others = [b, c].map(async (worker): Promise<PlannerTerm> => {
      const term = await worker.campaign(NEVER)
      terms.push(worker.name)
      return term
    })
    // Both have tried by the time that later writes of theirs are through.
    await Promise.all([b.claim(['p/1'], NEVER), c.claim(['p/2'], NEVER)])
    t.deepEqual(terms, [])
    const started = PARTS.clock.monotonic()
    await first[Symbol.asyncDispose]()
    t.true(first.lost.aborted)
    await Promise.race(others)
    t.is(terms.length, 1)
    await (terms[0] === 'b' ? b : c)[Symbol.asyncDispose]()
    await Promise.all(others)
    t.deepEqual(terms.toSorted(), ['b', 'c'])
    t.true(PARTS.clock.monotonic() - started < LONG_MS / 3)
    t.false(a.lost.aborted)
  })

  test(`${name}: a campaign ends with its signal's reason, and the office is not taken later`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const [a, b, c] = [
      await joined(cluster, 'a'),
      await joined(cluster, 'b'),
      await joined(cluster, 'c'),
    ]
    const term = await a.campaign(NEVER)
    const stop = new AbortController()
    const reason = new Error('enough')
    const waiting = b.campaign(stop.signal)
    await b.claim(['p/1'], NEVER)
    stop.abort(reason)
    t.is(await t.throwsAsync(waiting), reason)
    await term[Symbol.asyncDispose]()
    const next = await c.campaign(NEVER)
    t.false(next.lost.aborted)
  })
}

function publishTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: what is published is seen, the last word on a unit counts, and it outlives the planner`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    const term = await a.campaign(NEVER)
    const units = unitNames(250)
    t.is(await term.publish(toAll(units, 'x'), NEVER), 'published')
    const next = [
      ...toAll(['shop/00000'], 'y'),
      ...toAll(['shop/00001'], undefined),
      ...toAll(['shop/00000'], 'z'),
    ]
    t.is(await term.publish(next, NEVER), 'published')
    await a[Symbol.asyncDispose]()
    const { assignments, members } = await (await cluster.coordination()).view(NEVER)
    t.is(members.size, 0)
    t.is(assignments.size, 249)
    t.is(assignments.get('shop/00000'), 'z')
    t.false(assignments.has('shop/00001'))
    t.is(assignments.get('shop/00002'), 'x')
  })

  test(`${name}: a planner that was deposed writes nothing`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const [a, b] = [await joined(cluster, 'a'), await joined(cluster, 'b')]
    const old = await a.campaign(NEVER)
    await old.publish(toAll(['p/1'], 'a'), NEVER)
    await cluster.raw.deleteRange({ key: cluster.keys.planner })
    const next = await b.campaign(NEVER)
    t.is(await old.publish(toAll(['p/1', 'p/2'], 'zombie'), NEVER), 'deposed')
    t.true(old.lost.aborted)
    t.false(a.lost.aborted, 'its session goes on')
    t.is(await next.publish(toAll(['p/3'], 'b'), NEVER), 'published')
    t.is(await old.publish(toAll(['p/3'], 'zombie'), NEVER), 'deposed')
    await old[Symbol.asyncDispose]()
    t.is(await next.publish(toAll(['p/4'], 'b'), NEVER), 'published', 'it takes nobody else along')
    const { assignments } = await (await cluster.coordination()).view(NEVER)
    t.deepEqual(sorted(assignments), [
      ['p/1', 'a'],
      ['p/3', 'b'],
      ['p/4', 'b'],
    ])
  })

  test(`${name}: a planner that resigns without knowing that it was deposed leaves the next one in office`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const [a, b] = [await joined(cluster, 'a'), await joined(cluster, 'b')]
    const old = await a.campaign(NEVER)
    await cluster.raw.deleteRange({ key: cluster.keys.planner })
    const next = await b.campaign(NEVER)
    await old[Symbol.asyncDispose]()
    t.is(await next.publish(toAll(['p/1'], 'b'), NEVER), 'published')
  })

  test(`${name}: when a planner's session ends in the middle of a plan, nothing of it comes after the next one's`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const gate = createGate(await client(t), 2)
    const coordination = createCoordination(gate.client, {
      ...PARTS,
      prefix: cluster.prefix,
      isAlive: isProcessAlive,
    })
    t.teardown(() => coordination[Symbol.asyncDispose]())
    const a = await joined(cluster, 'a', { coordination })
    const b = await joined(cluster, 'b')
    const watching = await cluster.coordination()
    const units = unitNames(4_000)
    const old = await a.campaign(NEVER)
    const next = b.campaign(NEVER)
    const { members } = await watching.view(NEVER)
    gate.close()
    const publishing = old.publish(toAll(units, 'a'), NEVER)
    await untilView(watching, ({ assignments }) => assignments.size >= 200)
    await cluster.raw.leaseRevoke(BigInt(`0x${members.get('a')?.lease ?? '0'}`))
    const taken = await next
    t.is((await watching.view(NEVER)).assignments.size, 200)
    t.is(await taken.publish(toAll(units.slice(0, 500), 'b'), NEVER), 'published')
    gate.open()
    t.is(await publishing, 'deposed')
    await aborted(old.lost, LONG_MS)
    const { assignments } = await watching.view(NEVER)
    t.is(assignments.size, 500)
    t.is([...assignments.values()].filter((to) => to === 'b').length, 500)
  })
}

/** Once it is closed, a client whose writes wait, but for the first few, until it is open again. */
function createGate(client: CoordClient, passing: number) {
  const opened = Promise.withResolvers<void>()
  let left = Infinity
  return {
    client: {
      ...client,
      async txn(request, options) {
        if (--left < 0) await opened.promise
        return client.txn(request, options)
      },
    } satisfies CoordClient,
    close: () => void (left = passing),
    open: () => opened.resolve(),
  }
}
