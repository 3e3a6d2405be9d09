/** Shards acquired and committed many at a time, and what a publisher makes of such commits. */
import fc from 'fast-check'
import type { FoldInput } from '../../../catalog/catalog.ts'
import { NO_COUNTERS } from '../../../catalog/catalog.ts'
import { keysOf, newGroup, startRun, statesOf } from './cluster-kit.ts'
import {
  addsOf,
  bodyOf,
  dataFile,
  declare,
  newPublisher,
  newRun,
  newWorld,
  newWriter,
  pathsOf,
  type Suite,
} from './kit.ts'

const ABC = ['a', 'b', 'c']

export function groupTests(suite: Suite): void {
  acquireTests(suite)
  commitTests(suite)
  publishTests(suite)
}

function acquireTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: many shards are acquired as each would be alone, for a holder`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    await newWriter(catalog, { shard: 'b' }).then((writer) => writer.commit({ adds: ['x'] }))
    const wanted = keysOf(['c', 'b', 'a']).map((key) => ({ ...key, generation: 1 }))
    const rows = await catalog.acquireShards(wanted, 'w1')
    t.deepEqual(
      rows.map((row) => [row.shard, row.epoch, row.seq, row.cursor, row.generation, row.holder]),
      [
        ['a', 1, 0, null, 1, 'w1'],
        ['b', 2, 1, { at: 1 }, 1, 'w1'],
        ['c', 1, 0, null, 1, 'w1'],
      ],
    )
    t.deepEqual(await catalog.shards('p'), rows, 'as they are stored')
    t.is((await catalog.acquireShard({ pipeline: 'p', shard: 'a' }, 1)).holder, null)
    t.deepEqual(await catalog.acquireShards([], 'w1'), [])
  })

  test(`${name}: a newer generation begins for all of a group, and keeps where they were`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const runId = await newRun(catalog)
    const group = await newGroup(catalog, ABC, { runId })
    await group.commit({ adds: ['x'], done: true })
    await catalog.beginGeneration('t')
    const next = await newGroup(catalog, ABC, { runId, generation: 2 })
    for (const row of next.rows) t.like(row, { cursor: null, done: false, generation: 2, seq: 1 })
    t.deepEqual(await catalog.shards('p'), next.rows)
    t.is((await next.commit({ adds: ['y'] })).kind, 'committed')
    await catalog.abandonGeneration('t')
    for (const row of await catalog.shards('p')) {
      t.like(row, { cursor: { at: 1 }, done: true, generation: 1, seq: 2 })
    }
  })

  test(`${name}: shards that are unknown, dropped or past the epoch are left out`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    await catalog.dropShards('p', ['c'])
    await catalog.acquireShard({ pipeline: 'p', shard: 'b' }, 1)
    await catalog.acquireShard({ pipeline: 'p', shard: 'b' }, 1)
    const wanted = keysOf([...ABC, 'nowhere']).map((key) => ({ ...key, generation: 1 }))
    const rows = await catalog.acquireShards(
      wanted.map((each) => ({ ...each, ifEpoch: each.shard === 'b' ? 1 : 0 })),
      'w1',
    )
    t.deepEqual(
      rows.map((row) => [row.shard, row.epoch]),
      [['a', 1]],
    )
    t.like((await catalog.shards('p'))[1], { shard: 'b', epoch: 2, holder: null }, 'untouched')
    const again = await catalog.acquireShards([{ ...wanted[1]!, ifEpoch: 2 }], 'w2')
    t.like(again[0], { shard: 'b', epoch: 3, holder: 'w2' })
  })

  test(`${name}: of two who go on from one epoch, one gets each shard`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const shards = Array.from({ length: 60 }, (_, index) => `s${index}`)
    await declare(catalog, ...shards)
    const other = await another()
    for (let epoch = 0; epoch < 5; epoch++) {
      const wanted = keysOf(shards).map((key) => ({ ...key, generation: 1, ifEpoch: epoch }))
      const [one, two] = await Promise.all([
        catalog.acquireShards(wanted, 'w1'),
        other.acquireShards(wanted.toReversed(), 'w2'),
      ])
      t.is(one.length + two.length, shards.length)
    }
    for (const row of await catalog.shards('p')) t.is(row.epoch, 5)
  })

  test(`${name}: the states of many shards are those of their generations`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const runId = await newRun(catalog)
    const group = await newGroup(catalog, ABC, { runId })
    const commits = group.commits()
    const states = [{ etag: 'x', gone: 1 }, {}, { etag: ['\0'] }]
    await catalog.commitShards(commits.map((each, index) => ({ ...each, state: states[index]! })))
    const again = group.commits().map((each) => ({ ...each, expectedSeq: 1 }))
    await catalog.commitShards(again.map((each) => ({ ...each, state: { gone: null } })))
    t.deepEqual(await catalog.shardStates(keysOf([...ABC, 'nowhere'])), [
      { pipeline: 'p', shard: 'a', state: { etag: 'x' } },
      { pipeline: 'p', shard: 'c', state: { etag: ['\0'] } },
    ])
    await catalog.beginGeneration('t')
    await catalog.acquireShards([{ pipeline: 'p', shard: 'a', generation: 2 }], 'w')
    t.deepEqual(
      (await catalog.shardStates(keysOf(ABC))).map(({ shard }) => shard),
      ['c'],
    )
    t.deepEqual(await catalog.shardStates([]), [])
  })
}

function commitTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a group moves all of its shards, once for each`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const runId = await newRun(catalog)
    const group = await newGroup(catalog, ABC, { runId })
    const counters = { rowsRead: 2, files: 1 }
    const cursor = { text: '\0 é \\u0000 "', deep: [1.5, null, { a: 9_007_199_254_740_991 }] }
    t.deepEqual(await group.commit({ adds: ['x', 'y'], counters, cursor }), { kind: 'committed' })
    t.deepEqual(await group.commit({ cursor: null, done: true, workMs: 80 }), { kind: 'committed' })
    for (const row of await catalog.shards('p')) {
      t.like(row, { seq: 2, cursor: null, done: true, weight: 80 })
    }
    t.deepEqual((await catalog.run(runId))?.counters, { ...NO_COUNTERS, rowsRead: 6, files: 3 })
    const publisher = await newPublisher(catalog)
    await publisher.publish()
    const { pending } = publisher.folds[0]!
    t.deepEqual(
      pending.filter((each) => each.seq === 1).map((each) => [each.shard, each.cursor]),
      ABC.map((shard) => [shard, cursor]),
    )
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['x', 'y'])
    t.deepEqual(await catalog.commitShards([]), { kind: 'committed' })
  })

  test(`${name}: one member that was taken over stops the whole group, by name`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, ...ABC, 'gone')
    const { runId } = await startRun(catalog, [...ABC, 'gone'])
    const group = await newGroup(catalog, [...ABC, 'gone'], { runId })
    const before = await catalog.shards('p')
    await catalog.dropShards('p', ['gone'])
    const other = await another()
    await other.acquireShards([{ pipeline: 'p', shard: 'b', generation: 1 }], 'w2')
    const parts = { adds: ['x'], carrier: 'a', done: true, state: { k: 1 }, counters: { files: 1 } }
    const outcome = await group.commit(parts)
    t.deepEqual(outcome, { kind: 'fenced', shards: keysOf(['b', 'gone']) })
    const [a, , c] = await catalog.shards('p')
    t.deepEqual([a, c], [before[0], before[2]], 'the others did not move')
    t.deepEqual(await statesOf(catalog, runId), {
      a: 'pending',
      b: 'pending',
      c: 'pending',
      gone: 'stopped',
    })
    t.deepEqual(await catalog.shardStates(keysOf(ABC)), [])
    t.deepEqual((await catalog.run(runId))?.counters, NO_COUNTERS)
    t.false(await catalog.hasPending('t'))
    t.is((await catalog.knownPaths('t', ['x'])).size, 0)
    t.is((await group.commit({ ...parts, adds: [] })).kind, 'fenced')
  })

  test(`${name}: a group of an older seq or of a dropped generation is fenced`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const runId = await newRun(catalog)
    const group = await newGroup(catalog, ABC, { runId })
    const stale = group.commits({ adds: ['late'], cursor: 'late' })
    await group.commit({ adds: ['x'] })
    t.deepEqual(await catalog.commitShards(stale), { kind: 'fenced', shards: keysOf(ABC) })
    await catalog.beginGeneration('t')
    const next = await newGroup(catalog, ABC, { runId, generation: 2 })
    await catalog.abandonGeneration('t')
    t.is((await next.commit({ adds: ['y'] })).kind, 'fenced')
    t.deepEqual(await catalog.knownPaths('t', ['x', 'y', 'late']), new Set(['x']))
  })

  test(`${name}: a group asked for again gets the answer that was lost`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const runId = await newRun(catalog)
    const group = await newGroup(catalog, ABC, { runId })
    const commits = group.commits({ adds: ['x'], counters: { files: 1 } })
    t.deepEqual(await catalog.commitShards(commits), { kind: 'committed' })
    t.deepEqual(await catalog.commitShards(commits), { kind: 'committed' })
    await newPublisher(catalog).then((publisher) => publisher.publish())
    await catalog.acquireShard({ pipeline: 'p', shard: 'b' }, 1)
    t.deepEqual(await catalog.commitShards(commits), { kind: 'committed' }, 'it was, all of it')
    t.is((await catalog.run(runId))?.counters.files, 3)
    for (const row of await catalog.shards('p')) t.is(row.seq, 1)
    const others = [
      commits.map((each) => ({ ...each, cursor: 'other' })),
      commits.slice(1),
      group.commits({ adds: ['other'] }),
    ]
    for (const other of others) t.is((await catalog.commitShards(other)).kind, 'fenced')
  })

  test(`${name}: a group that removes a file which is gone conflicts and writes nothing`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const group = await newGroup(catalog, ABC, { runId: await newRun(catalog) })
    const commits = group.commits()
    const change = { table: 't', adds: [dataFile('x')], removes: ['gone'], dataChange: false }
    const carrying = commits.with(0, { ...commits[0]!, changes: [change] })
    t.deepEqual(await catalog.commitShards(carrying), { kind: 'conflict', path: 'gone' })
    for (const row of await catalog.shards('p')) t.is(row.seq, 0)
    t.is((await catalog.knownPaths('t', ['x'])).size, 0)
  })

  test(`${name}: a group that names a shard twice, or two changes, is a bug`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const group = await newGroup(catalog, ABC, { runId: await newRun(catalog) })
    const [a, b] = group.commits()
    const change = (path: string) => [
      { table: 't', adds: [dataFile(path)], removes: [], dataChange: true },
    ]
    const wrong = [
      [a!, a!],
      [
        { ...a!, changes: change('x') },
        { ...b!, changes: change('y') },
      ],
      [a!, { ...b!, generation: 2 }],
    ]
    for (const commits of wrong) await t.throwsAsync(catalog.commitShards(commits))
    t.is((await catalog.knownPaths('t', ['x', 'y'])).size, 0)
  })

  test(`${name}: groups that overlap, on many connections, move each shard one by one`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const shards = Array.from({ length: 12 }, (_, index) => `s${index}`)
    await declare(catalog, ...shards)
    const runId = await newRun(catalog)
    const connections = [catalog, await another(), await another()]
    let committed = 0
    await Promise.all(
      connections.map(async (connection, index) => {
        for (let round = 0; round < 12; round++) {
          const own = shards.filter((_, at) => (at + round) % 3 !== index)
          const order = round % 2 ? own : own.toReversed()
          const group = await newGroup(connection, order, { runId, holder: `w${index}` })
          const outcome = await group.commit({ adds: [`f${index}-${round}`] })
          if (outcome.kind === 'committed') committed += group.rows.length
        }
      }),
    )
    const total = (await catalog.shards('p')).reduce((sum, row) => sum + row.seq, 0)
    t.is(total, committed)
    t.true(committed > 0)
  })

  test(`${name}: a measured pass moves the weight of a shard a quarter of the way`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const weight = async () => (await catalog.shards('p'))[0]?.weight
    t.is(await weight(), 0)
    for (const [workMs, done, expected] of [
      [500, false, 0],
      [100.4, true, 100],
      [300, true, 150],
      [undefined, true, 150],
    ] as const) {
      await writer.commit({ done, ...(workMs === undefined ? {} : { workMs }) })
      t.is(await weight(), expected)
    }
    const group = await newGroup(catalog, ['s'], { runId: writer.runId })
    await group.commit({ done: true, workMs: 550 })
    t.is(await weight(), 250)
  })
}

function publishTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: the file of a group gets the highest id of its commits`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC)
    const group = await newGroup(catalog, ABC, { runId: await newRun(catalog) })
    await group.commit({ adds: ['x'], carrier: 'a' })
    const publisher = await newPublisher(catalog)
    await publisher.publish()
    const pending = publisher.folds[0]!.pending
    t.deepEqual(
      pending.map((each) => [each.shard, each.adds.length]),
      [
        ['b', 0],
        ['c', 0],
        ['a', 1],
      ],
    )
  })

  test(`${name}: a group is not split by a commit whose id lies within it`, async (t) => {
    const { place, catalog } = await newWorld(t, suite)
    await declare(catalog, ...ABC, 'single')
    const group = await newGroup(catalog, ABC, { runId: await newRun(catalog) })
    await group.commit({ adds: ['x'] })
    const writer = await newWriter(catalog, { shard: 'single' })
    await writer.commit({ adds: ['y'] })
    // As when both take their ids at the same time.
    await place.exec(`update table_commit set fold_id = 1003 where fold_id is not null;
      update table_file set commit_id = 1003 where path = 'x';
      update table_commit set id = 1003 where shard = 'c'`)
    const publisher = await newPublisher(catalog)
    for (const more of [true, false]) t.like(await publisher.publish(1), { kind: 'prepared', more })
    t.deepEqual(
      publisher.folds.map((fold) => [addsOf(fold), fold.pending.map(({ shard }) => shard)]),
      [
        [['y'], ['single']],
        [['x'], ['a', 'b', 'c']],
      ],
    )
    t.deepEqual(await catalog.publishedTxns('t'), [
      ...keysOf(ABC).map((key) => ({ ...key, seq: 1 })),
      { pipeline: 'p', shard: 'single', seq: 1 },
    ])
  })

  test(`${name}: no version splits a group, wherever it is cut`, async (t) => {
    t.timeout(120_000)
    let groups = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const { catalog, another } = await newWorld(t, suite)
        await declare(catalog, ...SHARDS, 'compact')
        groups += await playSteps([catalog, await another()], steps)
      }),
      { numRuns: 12 },
    )
    t.true(groups > 12)
  })
}

// ── Random groups beside single commits, compactions and publishers ───────────────────────────────

const SHARDS = ['s0', 's1', 's2', 's3', 's4', 's5']

type Step =
  /** Committed at the same time, on two connections. */
  | {
      readonly kind: 'commits'
      readonly groups: readonly (readonly [string[], boolean])[]
    }
  | { readonly kind: 'compact' }
  | { readonly kind: 'publish'; readonly max: number }

const groupOf = (shards: readonly string[]) =>
  fc.tuple(fc.subarray([...shards], { minLength: 1 }), fc.boolean())
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('commits'),
      groups: fc.tuple(groupOf(SHARDS.slice(0, 3)), groupOf(SHARDS.slice(3))),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact') }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('publish'), max: fc.integer({ min: 1, max: 2 }) }),
  },
)

type Catalogs = readonly Parameters<typeof newGroup>[0][]

/** Plays the steps and checks each version; gives how many groups with files were seen. */
async function playSteps(catalogs: Catalogs, steps: readonly Step[]): Promise<number> {
  const catalog = catalogs[0]!
  const runId = await newRun(catalog)
  const publisher = await newPublisher(catalog)
  /** File → the seq of every member of its group once it is in. */
  const written = new Map<string, readonly (readonly [string, number])[]>()
  let count = 0
  for (const each of [...steps, { kind: 'publish', max: 1_000 } as const]) {
    switch (each.kind) {
      case 'commits':
        await Promise.all(
          each.groups.map(async ([shards, withFile], index) => {
            const group = await newGroup(catalogs[index]!, shards, { runId })
            const path = `f${++count}`
            const commits = group.commits({ adds: withFile ? [path] : [] })
            // Alone, a shard is committed as by a worker that has no group.
            const outcome = await (commits.length === 1
              ? catalogs[index]!.commit(commits[0]!)
              : catalogs[index]!.commitShards(commits))
            if (outcome.kind !== 'committed') throw new Error(outcome.kind)
            const members = group.rows.map((row) => [row.shard, row.seq + 1] as const)
            if (withFile) written.set(path, members)
          }),
        )
        break
      case 'compact':
        await compact(catalog, `c${++count}`, [...written.keys()])
        break
      case 'publish':
        while ((await publisher.publish(each.max)).kind === 'prepared' && each.max === 1_000);
        break
    }
  }
  checkVersions(publisher.folds, written)
  return written.size
}

/** Replaces a file, published or not, by another; one that is taken already is a conflict. */
async function compact(
  catalog: Catalogs[number],
  path: string,
  known: readonly string[],
): Promise<void> {
  const target = known.at(-1)
  if (target === undefined) return
  const writer = await newWriter(catalog, { shard: 'compact' })
  await writer.commit({ adds: [path], removes: [target] })
}

/** After each version, a file is in exactly when every shard of its group is at its seq or past it. */
function checkVersions(
  folds: readonly FoldInput[],
  written: ReadonlyMap<string, readonly (readonly [string, number])[]>,
): void {
  const seqs = new Map<string, number>()
  const files = new Set<string>()
  for (const fold of folds) {
    for (const path of addsOf(fold)) files.add(path)
    for (const each of fold.pending) {
      if ((seqs.get(each.shard) ?? 0) >= each.seq) throw new Error(`${each.shard} went back`)
      seqs.set(each.shard, each.seq)
    }
    for (const [path, members] of written) {
      const reached = members.filter(([shard, seq]) => (seqs.get(shard) ?? 0) >= seq)
      const expected = files.has(path) ? members.length : 0
      if (reached.length !== expected) {
        throw new Error(`version ${fold.version} splits ${path}: ${bodyOf(fold)}`)
      }
    }
  }
  for (const path of written.keys())
    if (!files.has(path)) throw new Error(`${path} is in no version`)
}
