/** Members: who may have a name, and what becomes of the one who had it before. */
import type { CoordClient } from '../../../coord/client/client.ts'
import type { WorkerIdentity } from '../../../lease/coordination.ts'
import { createCoordination } from '../../../lease/create.ts'
import { encodeMember } from '../../../lease/records.ts'
import { isProcessAlive } from '../../../lib/system/process.ts'
import { bytes, PARTS } from '../coord-client/kit.ts'
import {
  type CoordinationSuite,
  identity,
  joined,
  LONG_MS,
  newCluster,
  NEVER,
  refusalOf,
  sorted,
  untilView,
} from './kit.ts'

export function memberTests(suite: CoordinationSuite): void {
  recordTests(suite)
  restartTests(suite)
  twinTests(suite)
  protocolTests(suite)
}

function recordTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: a member shows who it is, says that it is leaving, and can still claim`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const self = identity('a', { labels: { zone: 'b', disk: 'ssd' } })
    const a = await joined(cluster, self)
    const watching = await cluster.coordination()
    const { members } = await watching.view(NEVER)
    t.like(members.get('a'), { ...self, state: 'active' })
    await a.announceLeaving(NEVER)
    const after = await untilView(watching, (view) => view.members.get('a')?.state === 'leaving')
    t.like(after.members.get('a'), { ...self, state: 'leaving' })
    t.deepEqual(await a.claim(['p/1'], NEVER), [{ unit: 'p/1', kind: 'claimed' }])
  })

  test(`${name}: a join that is called off leaves nothing behind`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    await joined(cluster, identity('a'))
    const coordination = await cluster.coordination()
    const stop = new AbortController()
    const reason = new Error('enough')
    const twin = identity('a', { machine: 'that one' })
    const joining = coordination.join(twin, ODD_SECONDS * 1_000, stop.signal)
    await untilLeases(cluster.raw, ODD_SECONDS, 1)
    stop.abort(reason)
    t.is(await t.throwsAsync(joining), reason)
    await untilLeases(cluster.raw, ODD_SECONDS, 0)
    t.pass()
  })
}

/** This TTL, and the one after it, no other test on the same coordinator asks for. */
const ODD_SECONDS = 77

/** Waits until so many leases of this TTL are there. */
async function untilLeases(client: CoordClient, seconds: number, count: number): Promise<void> {
  const deadline = PARTS.clock.monotonic() + 30_000
  const odd = new Map<bigint, boolean>()
  for (let found = -1; found !== count;) {
    if (PARTS.clock.monotonic() > deadline)
      throw new Error(`there are ${found} leases, not ${count}`)
    const ids = await client.leases()
    for (const id of ids)
      if (!odd.has(id)) odd.set(id, (await client.leaseTimeToLive(id)).grantedTtl === seconds)
    found = ids.filter((id) => odd.get(id)).length
  }
}

function restartTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: a worker that is started again takes the place of its dead self at once`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const former = await joined(cluster, identity('a', { pid: 4_711 }))
    await former.claim(['p/1', 'p/2'], NEVER)
    const coordination = await cluster.coordination({ isAlive: (pid) => pid !== 4_711 })
    const started = PARTS.clock.monotonic()
    const a = await joined(cluster, 'a', { coordination })
    t.true(PARTS.clock.monotonic() - started < LONG_MS / 3, 'it waits for nothing')
    t.is((await coordination.view(NEVER)).claims.size, 0)
    t.deepEqual(await a.claim(['p/1'], NEVER), [{ unit: 'p/1', kind: 'claimed' }])
    const error = await refusalOf(t, former.claim(['p/2'], NEVER), 'SESSION_LOST')
    t.regex(error.message, /another process took the name a/)
    t.deepEqual(sorted((await coordination.view(NEVER)).claims), [['p/1', 'a']])
    t.false(a.lost.aborted)
  })

  test(`${name}: a process that lost its session takes its own name again at once`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const self = identity('a')
    const former = await joined(cluster, self)
    await former.claim(['p/1'], NEVER)
    const started = PARTS.clock.monotonic()
    const a = await joined(cluster, self)
    t.true(PARTS.clock.monotonic() - started < LONG_MS / 3)
    t.deepEqual(await a.claim(['p/1'], NEVER), [{ unit: 'p/1', kind: 'claimed' }])
    await refusalOf(t, former.claim(['p/2'], NEVER), 'SESSION_LOST')
  })

  test(`${name}: a dead self on another machine is waited for until its session ends`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const { id } = await cluster.raw.leaseGrant(2)
    const value = encodeMember(identity('a', { machine: 'that one' }), 'active')
    await cluster.raw.put({ key: cluster.keys.member('a'), value, lease: id })
    const a = await joined(cluster, 'a')
    t.is((await cluster.raw.leaseTimeToLive(id)).ttl, -1, 'it ended by itself')
    t.deepEqual(await a.claim(['p/1'], NEVER), [{ unit: 'p/1', kind: 'claimed' }])
  })
}

function twinTests({ test, name, client }: CoordinationSuite): void {
  const twins: readonly (readonly [string, Partial<WorkerIdentity>])[] = [
    ['on another machine', { machine: 'that one', pid: 4_711 }],
    ['on this machine', { pid: process.ppid }],
  ]
  for (const [where, more] of twins)
    test(`${name}: a name that a living worker ${where} has is refused after its TTL, and it loses nothing`, async (t) => {
      const cluster = await newCluster(t, () => client(t))
      const first = await joined(cluster, identity('a', more), { ttlMs: 2_000 })
      await first.claim(['p/1'], NEVER)
      const started = PARTS.clock.monotonic()
      const second = (await cluster.coordination()).join(identity('a'), LONG_MS, NEVER)
      const error = await refusalOf(t, second, 'COORD_REFUSED')
      t.regex(error.message, /^the name a is taken by process \d+ at 127\.0\.0\.1:7700/)
      t.regex(error.suggestion ?? '', /--name/)
      const waited = PARTS.clock.monotonic() - started
      t.true(waited >= 2_000 && waited < 20_000, `${waited} ms`)
      t.false(first.lost.aborted)
      t.deepEqual(await first.claim(['p/1', 'p/2'], NEVER), [
        { unit: 'p/1', kind: 'claimed' },
        { unit: 'p/2', kind: 'claimed' },
      ])
    })

  test(`${name}: a name is taken as soon as the one who has it leaves`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const first = await joined(cluster, identity('a', { machine: 'that one' }))
    const seconds = ODD_SECONDS + 1
    const second = joined(cluster, 'a', { ttlMs: seconds * 1_000 })
    await untilLeases(cluster.raw, seconds, 1)
    const started = PARTS.clock.monotonic()
    await first[Symbol.asyncDispose]()
    const a = await second
    t.true(PARTS.clock.monotonic() - started < LONG_MS / 3)
    t.false(a.lost.aborted)
  })

  test(`${name}: a name whose record cannot be read is not free`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    await cluster.raw.put({ key: cluster.keys.member('a'), value: bytes('{"v":9}') })
    const joining = (await cluster.coordination()).join(identity('a'), LONG_MS, NEVER)
    const error = await refusalOf(t, joining, 'COORD_REFUSED')
    t.regex(error.message, /taken by somebody whose record cannot be read, under no session/)
  })

  test(`${name}: of two that take the same name at once one has it`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const stop = new AbortController()
    const racers = ['one', 'two', 'three'].map(async (machine) => {
      const coordination = await cluster.coordination()
      return coordination.join(identity('a', { machine }), LONG_MS, stop.signal)
    })
    const winner = await Promise.race(racers)
    t.teardown(() => winner[Symbol.asyncDispose]())
    await winner.claim(['p/1'], NEVER)
    stop.abort(new Error('enough'))
    const ends = await Promise.allSettled(racers)
    t.is(ends.filter(({ status }) => status === 'fulfilled').length, 1)
    t.deepEqual(await winner.claim(['p/1'], NEVER), [{ unit: 'p/1', kind: 'claimed' }])
  })
}

function protocolTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: a worker that shares no protocol with one that is there is refused, and both are named`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const old = await joined(cluster, identity('old', { protocol: { oldest: 1, newest: 2 } }))
    const coordination = await cluster.coordination()
    const both = identity('both', { protocol: { oldest: 2, newest: 3 } })
    await joined(cluster, both, { coordination })
    const later = identity('new', { version: '9.9.9', protocol: { oldest: 3, newest: 3 } })
    const error = await refusalOf(t, coordination.join(later, LONG_MS, NEVER), 'COORD_REFUSED')
    t.regex(
      error.message,
      /worker new \(Hakiri 9\.9\.9\) speaks version 3 .*worker old \(Hakiri 1\.2\.3\) speaks versions 1 to 2/,
    )
    t.regex(error.suggestion ?? '', /^Update old first/)
    t.deepEqual([...(await coordination.view(NEVER)).members.keys()].toSorted(), ['both', 'old'])
    await old[Symbol.asyncDispose]()
    t.false((await joined(cluster, later)).lost.aborted)
  })

  test(`${name}: of two that join at once and share no protocol, the later one goes again`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const inner = await client(t)
    let isFirst = true
    const overtaken: CoordClient = {
      ...inner,
      async range(request, options) {
        const answer = await inner.range(request, options)
        if (isFirst) {
          isFirst = false
          await joined(cluster, identity('one', { protocol: { oldest: 1, newest: 1 } }))
        }
        return answer
      },
    }
    const parts = { ...PARTS, prefix: cluster.prefix, isAlive: isProcessAlive }
    const coordination = createCoordination(overtaken, parts)
    const two = identity('two', { protocol: { oldest: 2, newest: 2 } })
    await refusalOf(t, coordination.join(two, LONG_MS, NEVER), 'COORD_REFUSED')
    t.deepEqual([...(await coordination.view(NEVER)).members.keys()], ['one'])
  })
}
