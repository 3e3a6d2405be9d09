/** Claims: one holder a unit, whoever asks when, for as long as the session lasts. */
import { UNKNOWN_WORKER } from '../../../lease/records.ts'
import { bytes, PARTS } from '../coord-client/kit.ts'
import {
  type CoordinationSuite,
  joined,
  LONG_MS,
  newCluster,
  NEVER,
  refusalOf,
  sorted,
  unitNames,
  untilView,
} from './kit.ts'

export function claimTests(suite: CoordinationSuite): void {
  exclusivityTests(suite)
  endTests(suite)
  recordTests(suite)
}

function exclusivityTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: of workers that claim the same units at once, each unit has exactly one, and the others hear who (L1)`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const names = ['a', 'b', 'c', 'd', 'e']
    const workers = await Promise.all(names.map((each) => joined(cluster, each)))
    const units = unitNames(300)
    const results = await Promise.all(
      workers.map((worker, at) =>
        worker.claim([...units.slice(at * 60), ...units.slice(0, at * 60)], NEVER),
      ),
    )
    const holders = new Map<string, string>()
    results.forEach((result, at) => {
      for (const { unit, kind } of result) {
        if (kind !== 'claimed') continue
        t.false(holders.has(unit), `${unit} was claimed twice`)
        holders.set(unit, names[at] ?? '')
      }
    })
    t.is(holders.size, units.length)
    for (const result of results)
      for (const each of result)
        if (each.kind === 'held') t.is<string | undefined, string>(holders.get(each.unit), each.by)
    const { claims } = await (await cluster.coordination()).view(NEVER)
    t.deepEqual(sorted(claims), sorted(holders))
  })

  test(`${name}: results come in the order asked for, and claiming again what one has changes nothing`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const [a, b] = [await joined(cluster, 'a'), await joined(cluster, 'b')]
    await a.claim(['p/1', 'p/3'], NEVER)
    t.deepEqual(await b.claim(['p/3', 'p/2', 'p/1', 'p/2'], NEVER), [
      { unit: 'p/3', kind: 'held', by: 'a' },
      { unit: 'p/2', kind: 'claimed' },
      { unit: 'p/1', kind: 'held', by: 'a' },
      { unit: 'p/2', kind: 'claimed' },
    ])
    const before = await cluster.raw.range({ key: cluster.keys.claim('p/1') })
    t.deepEqual(await a.claim(['p/1'], NEVER), [{ unit: 'p/1', kind: 'claimed' }])
    const after = await cluster.raw.range({ key: cluster.keys.claim('p/1') })
    t.deepEqual(after.kvs[0]?.modRevision, before.kvs[0]?.modRevision)
    t.deepEqual(await a.claim([], NEVER), [])
  })

  test(`${name}: who releases what another has changes nothing; what is released can be claimed`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const [a, b] = [await joined(cluster, 'a'), await joined(cluster, 'b')]
    const units = unitNames(130)
    await a.claim(units, NEVER)
    await b.release([...units, 'p/nobody'], NEVER)
    const { claims } = await (await cluster.coordination()).view(NEVER)
    t.is([...claims.values()].filter((by) => by === 'a').length, units.length)
    await a.release(units, NEVER)
    const results = await b.claim(units, NEVER)
    t.true(results.every(({ kind }) => kind === 'claimed'))
  })
}

function endTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: whoever leaves takes its claims along at once, in one revision`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const [a, b] = [await joined(cluster, 'a'), await joined(cluster, 'b')]
    const units = unitNames(150)
    await a.claim(units, NEVER)
    await b.claim(['p/mine'], NEVER)
    const watching = await cluster.coordination()
    const seen: number[] = []
    await using _ = watching.watch(({ claims }) => void seen.push(claims.size))
    await untilView(watching, ({ claims }) => claims.size === 151)
    const started = PARTS.clock.monotonic()
    await a[Symbol.asyncDispose]()
    const after = await untilView(watching, ({ members }) => !members.has('a'))
    t.true(PARTS.clock.monotonic() - started < LONG_MS / 3)
    t.deepEqual(sorted(after.claims), [['p/mine', 'b']])
    t.deepEqual(
      seen.filter((size) => size > 1 && size < 151),
      [],
    )
  })

  test(`${name}: a membership that is over refuses everything`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    const term = await a.campaign(NEVER)
    t.true(a.certainUntil() > PARTS.clock.monotonic())
    await a[Symbol.asyncDispose]()
    t.true(a.lost.aborted)
    t.is(a.certainUntil(), Number.NEGATIVE_INFINITY)
    await refusalOf(t, a.claim(['p/1'], NEVER), 'SESSION_LOST')
    await refusalOf(t, a.release(['p/1'], NEVER), 'SESSION_LOST')
    await refusalOf(t, a.announceLeaving(NEVER), 'SESSION_LOST')
    await refusalOf(t, a.campaign(NEVER), 'SESSION_LOST')
    t.is(await term.publish([{ unit: 'p/1', from: undefined, to: 'a' }], NEVER), 'deposed')
    const { claims, assignments } = await (await cluster.coordination()).view(NEVER)
    t.deepEqual([claims.size, assignments.size], [0, 0])
    await a[Symbol.asyncDispose]()
  })

  test(`${name}: a session that somebody revoked is over with the next write, which does not happen`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    const { members } = await (await cluster.coordination()).view(NEVER)
    await cluster.raw.leaseRevoke(BigInt(`0x${members.get('a')?.lease ?? '0'}`))
    const started = PARTS.clock.monotonic()
    const error = await refusalOf(t, a.claim(['p/1'], NEVER), 'SESSION_LOST')
    t.regex(error.message, /worker a has no session any more: the coordinator does not know/)
    t.true(a.lost.aborted)
    t.is(a.lost.reason, error)
    t.true(PARTS.clock.monotonic() - started < LONG_MS / 3, 'not by the deadline')
    t.is((await cluster.raw.range({ key: cluster.keys.claim('p/1') })).count, 0)
  })

  test(`${name}: a call ends with its signal's reason`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    const reason = new Error('enough')
    t.is(await t.throwsAsync(a.claim(['p/1'], AbortSignal.abort(reason))), reason)
    t.false(a.lost.aborted)
  })
}

function recordTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: a claim that cannot be read is held by somebody unknown, never free`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const texts = ['', 'x', '{"v":1}', '{"v":2,"worker":"w"}', '{"v":1,"worker":""}', '[]', 'null']
    for (const [at, text] of texts.entries())
      await cluster.raw.put({ key: cluster.keys.claim(`p/${at}`), value: bytes(text) })
    const value = bytes('{"worker":"w","v":1,"since":"later"}')
    await cluster.raw.put({ key: cluster.keys.claim('p/more'), value })
    const a = await joined(cluster, 'a')
    const units = [...texts.keys()].map((at) => `p/${at}`)
    const expected = units.map((unit) => ({ unit, kind: 'held' as const, by: UNKNOWN_WORKER }))
    t.deepEqual(await a.claim([...units, 'p/more'], NEVER), [
      ...expected,
      { unit: 'p/more', kind: 'held', by: 'w' },
    ])
    const { claims } = await (await cluster.coordination()).view(NEVER)
    t.deepEqual(sorted(claims), [
      ...units.map((unit) => [unit, UNKNOWN_WORKER] as const),
      ['p/more', 'w'],
    ])
  })
}
