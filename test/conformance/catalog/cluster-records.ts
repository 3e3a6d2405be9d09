/** What the cluster keeps beside runs: manifest, placements, workers, limits, tokens, events, wake-ups. */
import type { Catalog } from '../../../catalog/catalog.ts'
import { type NewClusterEvent, WAKE_TOPICS, type WakeTopic } from '../../../catalog/cluster.ts'
import { clusterRun, newGroup, settlement, startRun } from './cluster-kit.ts'
import { declare, newRun, newWorld, nextTurn, type Suite } from './kit.ts'

export function clusterRecordTests(suite: Suite): void {
  manifestTests(suite)
  plannerTests(suite)
  limitTests(suite)
  eventTests(suite)
  wakeTests(suite)
}

function manifestTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: an applied manifest is the next version, unless nothing changed`, async (t) => {
    const { catalog, clock, another } = await newWorld(t, suite)
    t.is(await catalog.manifest(), undefined)
    const first = {
      version: 1,
      document: { pipelines: [{ name: 'é \0' }], none: null },
      hash: 'h1',
      appliedAt: 1_000,
      appliedBy: 'me@here',
    }
    t.deepEqual(await catalog.applyManifest(first.document, 'h1', 'me@here'), first)
    clock.now = 2_000
    t.deepEqual(await catalog.applyManifest(first.document, 'h1', 'you@there'), first)
    t.like(await catalog.applyManifest(null, 'h2', 'you@there'), { version: 2, appliedAt: 2_000 })
    t.like(await catalog.applyManifest(first.document, 'h1', 'me@here'), { version: 3, hash: 'h1' })
    const other = await another()
    t.like(await other.manifest(), { version: 3 })
    t.deepEqual(await other.manifest(1), first)
    t.like(await other.manifest(2), { document: null, appliedBy: 'you@there' })
    t.is(await other.manifest(4), undefined)
  })

  test(`${name}: manifests applied at the same time get versions of their own`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const connections = [catalog, await another(), await another()]
    const hashes = Array.from({ length: 12 }, (_, index) => `h${index >> 1}`)
    const applied = await Promise.all(
      hashes.map((hash, index) => connections[index % 3]!.applyManifest({ hash }, hash, 'me')),
    )
    const newest = (await catalog.manifest())!.version
    for (let version = 1; version <= newest; version++) {
      t.truthy(await catalog.manifest(version), 'no gap')
    }
    for (const each of applied) t.deepEqual(await catalog.manifest(each.version), each)
  })
}

function plannerTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: the newest planner records where shards belong, and since when`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    t.deepEqual(await catalog.placements(), [])
    t.false(await catalog.recordPlacements(0, []), 'nobody is the planner')
    const epoch = await catalog.acquirePlanner('w1')
    const at = (shard: string, worker: string | null, reason: string | null = null) =>
      ({ pipeline: shard === 'z' ? 'q' : 'p', shard, worker, reason }) as const
    const first = [at('b', 'w1'), at('a', null, 'no worker'), at('z', 'w2')]
    t.true(await catalog.recordPlacements(epoch, first))
    t.deepEqual(await catalog.placements(), [
      { ...at('a', null, 'no worker'), since: 1_000 },
      { ...at('b', 'w1'), since: 1_000 },
      { ...at('z', 'w2'), since: 1_000 },
    ])
    clock.now = 2_000
    t.true(await catalog.recordPlacements(epoch, [at('a', 'w2'), at('b', 'w1'), at('c', 'w1')]))
    t.deepEqual(await catalog.placements(), [
      { ...at('a', 'w2'), since: 2_000 },
      { ...at('b', 'w1'), since: 1_000 },
      { ...at('c', 'w1'), since: 2_000 },
    ])
    const names = async (filter: { pipeline?: string; worker?: string }) =>
      (await catalog.placements(filter)).map(({ shard }) => shard).join('')
    t.is(await names({ worker: 'w1' }), 'bc')
    t.is(await names({ pipeline: 'p', worker: 'w2' }), 'a')
    t.is(await names({ pipeline: 'q' }), '')
  })

  test(`${name}: a planner that was deposed records nothing`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await catalog.recordWorker(WORKER)
    const old = await catalog.acquirePlanner('w1')
    t.true(await catalog.recordPresence(old, ['w1']))
    const newer = await (await another()).acquirePlanner('w2')
    t.is(newer, old + 1)
    const lost = [{ pipeline: 'p', shard: 's', worker: 'w1', reason: null }]
    for (const epoch of [old, newer + 1]) {
      t.false(await catalog.recordPlacements(epoch, lost))
      t.false(await catalog.recordPresence(epoch, []))
    }
    t.deepEqual(await catalog.placements(), [])
    t.like((await catalog.workers())[0], { isPresent: true })
    t.true(await catalog.recordPresence(newer, []))
    t.like((await catalog.workers())[0], { isPresent: false })
  })

  test(`${name}: a worker that comes back is as cordoned as it was`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    const recorded = await catalog.recordWorker(WORKER)
    const states = { isCordoned: false, isPresent: false, seenAt: 1_000 }
    t.deepEqual(recorded, { ...WORKER, ...states })
    t.is(await catalog.cordonWorker('nobody', true), undefined)
    t.like(await catalog.cordonWorker('w1', true), { name: 'w1', isCordoned: true })
    clock.now = 2_000
    const again = {
      ...WORKER,
      address: 'h:2',
      labels: {},
      slots: 9,
      version: '2',
      startedAt: 1_900,
    }
    t.deepEqual(await catalog.recordWorker(again), {
      ...again,
      ...states,
      isCordoned: true,
      seenAt: 2_000,
    })
    await catalog.recordWorker({ ...WORKER, name: 'w0' })
    const epoch = await catalog.acquirePlanner('w0')
    clock.now = 3_000
    await catalog.recordPresence(epoch, ['w1', 'unknown'])
    t.deepEqual(
      (await catalog.workers()).map((each) => [each.name, each.isPresent, each.seenAt]),
      [
        ['w0', false, 2_000],
        ['w1', true, 3_000],
      ],
    )
    t.like(await catalog.cordonWorker('w1', false), { isCordoned: false, isPresent: true })
  })
}

const WORKER = {
  name: 'w1',
  address: 'h:1',
  labels: { region: 'eu', 'gpu é': '' },
  slots: 4,
  version: '1',
  startedAt: 900,
}

function limitTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: workers that take tokens together get no more than there are`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const connections = [catalog, await another(), await another()]
    const limit = { perSecond: 0.000_1, burst: 25 }
    const grants = await Promise.all(
      Array.from({ length: 30 }, (_, index) => connections[index % 3]!.takeTokens('b', 2, limit)),
    )
    t.is(
      grants.reduce((sum, { granted }) => sum + granted, 0),
      25,
    )
    for (const { granted, waitMs } of grants) t.is(granted > 0, waitMs === 0)
    const { waitMs } = await catalog.takeTokens('b', 1, limit)
    t.true(waitMs > 9_000_000 && waitMs <= 10_000_000, 'until the next of them')
    t.deepEqual(await catalog.takeTokens('other', 9, limit), { granted: 9, waitMs: 0 })
    for (const wrong of [
      { perSecond: 0, burst: 1 },
      { perSecond: 1, burst: 0 },
    ]) {
      await t.throwsAsync(async () => catalog.takeTokens('b', 1, wrong))
    }
  })

  test(`${name}: tokens of the API are kept by name until they are revoked`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const token = {
      name: 'ci',
      scope: 'operate',
      hash: 'ab',
      createdBy: 'me',
      expiresAt: 5,
    } as const
    t.true(await catalog.createToken(token))
    t.false(await catalog.createToken({ ...token, scope: 'admin' }), 'the name is in use')
    t.true(await catalog.createToken({ ...token, name: 'a', expiresAt: null }))
    t.deepEqual(await catalog.tokens(), [
      { ...token, name: 'a', expiresAt: null, createdAt: 1_000 },
      { ...token, createdAt: 1_000 },
    ])
    t.true(await catalog.revokeToken('ci'))
    t.false(await catalog.revokeToken('ci'))
    t.deepEqual(
      (await catalog.tokens()).map((each) => each.name),
      ['a'],
    )
  })
}

function eventTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: events of the cluster and of runs are in one order`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const own = await newRun(catalog)
    const { runId } = await catalog.requestRun(clusterRun({ pipeline: 'q' }))
    const first = event({ runId, pipeline: 'q', shard: 's', worker: 'w', data: { a: ['\0'] } })
    await catalog.addClusterEvents([event({ kind: 'joined', worker: 'w' }), first])
    const { runId: _run, pipeline: _pipeline, worker: _worker, ...rest } = event({ message: 'x\0' })
    await catalog.addEvents([{ ...rest, runId: own }])
    await catalog.addClusterEvents([])
    const all = await catalog.clusterEvents({ afterId: 0, limit: 10 })
    t.deepEqual(
      all.map(({ id: _id, ...each }) => each),
      [
        event({ kind: 'joined', worker: 'w' }),
        first,
        event({ message: 'x\u{fffd}', runId: own, pipeline: 'p' }),
      ],
    )
    const kept = async (filter: { runId?: number; pipeline?: string; limit?: number }) =>
      (await catalog.clusterEvents({ afterId: 0, limit: 10, ...filter })).map(({ id }) => id)
    const [a, b, c] = all.map(({ id }) => id)
    t.deepEqual(await kept({ limit: 2 }), [a, b])
    t.deepEqual(await kept({ runId }), [b])
    t.deepEqual(await kept({ pipeline: 'p' }), [c])
    t.deepEqual(await kept({ pipeline: 'q', runId: own }), [])
    t.like(await catalog.clusterEvents({ afterId: a!, limit: 1 }), [{ id: b }])
    t.is((await catalog.events(runId)).length, 1, 'where the events of a run are looked for')
  })

  test(`${name}: who follows events by id misses none, while many write`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const connections = [catalog, await another(), await another()]
    const follower = await another()
    const seen: string[] = []
    let afterId = 0
    const follow = async (): Promise<void> => {
      const events = await follower.clusterEvents({ afterId, limit: 1_000 })
      afterId = events.at(-1)?.id ?? afterId
      seen.push(...events.map(({ message }) => message))
    }
    let writing = true
    const following = (async () => {
      while (writing) {
        await follow()
        await nextTurn()
      }
    })()
    const names = connections.flatMap((_, index) =>
      Array.from({ length: 40 }, (__, round) => `${index}-${round}`),
    )
    await Promise.all(
      connections.map(async (connection, index) => {
        for (const message of names.filter((each) => each.startsWith(`${index}-`))) {
          await connection.addClusterEvents(
            Array.from({ length: 5 }, (_, part) => event({ message: `${message}.${part}` })),
          )
        }
      }),
    )
    writing = false
    await following
    await follow()
    t.is(seen.length, names.length * 5)
    t.is(new Set(seen).size, names.length * 5)
  })
}

function event(parts: Partial<NewClusterEvent> = {}): NewClusterEvent {
  return {
    at: 7,
    level: 'info',
    runId: null,
    pipeline: null,
    shard: null,
    worker: null,
    kind: 'note',
    message: 'hello',
    data: null,
    ...parts,
  }
}

function wakeTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: listeners are woken for what changed, once it is committed`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const ear = await newEar(catalog)
    await declare(catalog, 'a', 'b')
    t.deepEqual(await ear.heard(), ['shards'])
    await declare(catalog, 'a', 'b')
    t.deepEqual(await ear.heard(), [], 'they are known')
    const { runId, epoch } = await startRun(catalog, ['a', 'b'])
    t.deepEqual(await ear.heard(), ['runs', 'runs'], 'asked for and started')
    const group = await newGroup(catalog, ['a', 'b'], { runId })
    await group.commit({ adds: ['x'] })
    await catalog.acquireShard({ pipeline: 'p', shard: 'a' }, 1)
    const [a, b] = await catalog.shards('p')
    const retry = { kind: 'retry', attempts: 1, nextAt: 1, error: 'x' } as const
    await catalog.settleShards([
      settlement(runId, a!, retry),
      settlement(runId, b!, { kind: 'done' }),
    ])
    t.deepEqual(await ear.heard(), [], 'work that goes its way wakes nobody')
    await catalog.settleShards([settlement(runId, a!, { kind: 'elsewhere', error: 'x' })])
    t.deepEqual((await ear.heard()).toSorted(), ['runs', 'shards'], 'it wants another worker')
    await catalog.pauseShard({ pipeline: 'p', shard: 'a' }, true)
    t.deepEqual((await ear.heard()).toSorted(), ['runs', 'shards'])
    t.false(await catalog.startRun(runId, epoch, null, []))
    t.deepEqual(await ear.heard(), [], 'nothing changed')
    await catalog.recordWorker(WORKER)
    const planner = await catalog.acquirePlanner('w1')
    await catalog.recordPresence(planner, ['w1'])
    t.deepEqual(await ear.heard(), ['workers', 'workers'])
    await catalog.recordPresence(planner, ['w1'])
    await catalog.recordPlacements(planner, [])
    t.deepEqual(await ear.heard(), [])
    await catalog.addClusterEvents([event()])
    await catalog.cancelRun(runId)
    t.deepEqual(await ear.heard(), ['events', 'runs'])
    await ear[Symbol.asyncDispose]()
    await catalog.addClusterEvents([event()])
    t.deepEqual(ear.topics, [], 'no more')
  })

  test(`${name}: the last part of a run wakes who waits for its end, and so does a published version`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const ear = await newEar(catalog)
    await declare(catalog, 'a', 'b', 'c')
    const { runId } = await startRun(catalog, ['a', 'b', 'c'])
    await ear.heard()
    await newGroup(catalog, ['a'], { runId }).then((group) => group.commit({ done: true }))
    t.deepEqual(await ear.heard(), [], 'two are left')
    await newGroup(catalog, ['b'], { runId }).then((group) => group.commit({ done: true }))
    const c = (await catalog.shard({ pipeline: 'p', shard: 'c' }))!
    t.deepEqual(await ear.heard(), [], 'one is left')
    await catalog.settleShards([settlement(runId, c, { kind: 'done' })])
    t.deepEqual(await ear.heard(), ['runs'])
    const other = await startRun(catalog, ['a'])
    await ear.heard()
    const last = await newGroup(catalog, ['a'], { runId: other.runId })
    await last.commit({ done: true, adds: ['x'] })
    t.deepEqual(await ear.heard(), ['runs'])
    await catalog.markPublished('t', 0)
    t.deepEqual(await ear.heard(), ['runs'])
  })

  test(`${name}: every listener is woken for everything when it begins, and none after the end`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await newEar(catalog)
    const late = await newEar(catalog)
    await using other = await newEar(catalog)
    await declare(catalog, 'a')
    t.deepEqual(await late.heard(), ['shards'])
    t.deepEqual(other.topics, ['shards', 'manifest'])
    await catalog[Symbol.asyncDispose]()
    catalog.onWake(() => t.fail())
    await nextTurn()
  })
}

type Ear = AsyncDisposable & {
  readonly topics: WakeTopic[]
  /** What was heard since the last call, up to a wake-up of its own. */
  heard(): Promise<readonly WakeTopic[]>
}

const HEAR_MS = 10_000

/** Listens, and has heard that it does. */
async function newEar(catalog: Catalog): Promise<Ear> {
  const topics: WakeTopic[] = []
  let count = 0
  let notice: (() => void) | undefined
  const disposable = catalog.onWake((topic) => {
    topics.push(topic)
    notice?.()
  })
  const until = async (isThere: () => boolean): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error(`heard only ${topics.join()}`)), HEAR_MS)
    notice = () => isThere() && resolve()
    notice()
    await promise.finally(() => clearTimeout(timer))
  }
  await until(() => WAKE_TOPICS.every((topic) => topics.includes(topic)))
  topics.length = 0
  return {
    topics,
    heard: async () => {
      await catalog.applyManifest(null, `${process.hrtime.bigint()} ${count++}`, 'me')
      await until(() => topics.includes('manifest'))
      return topics.splice(0).filter((topic) => topic !== 'manifest')
    },
    [Symbol.asyncDispose]: () => disposable[Symbol.asyncDispose](),
  }
}
