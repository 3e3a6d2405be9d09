/** The commit transaction: fencing (L3), all or nothing (S2), conflicts, repeats. */
import { NO_COUNTERS, type Catalog } from '../../../catalog/catalog.ts'
import {
  addsOf,
  dataFile,
  declare,
  KEY,
  newPublisher,
  newWorld,
  newWriter,
  pathsOf,
  type Suite,
  TABLE,
} from './kit.ts'

export function commitTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a commit moves cursor, seq, done, state and counters together`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const parts = { cursor: 'c', done: true, state: { k: 'v' }, counters: { rowsRead: 5 } }
    t.deepEqual(await writer.commit({ ...parts, adds: ['a'] }), { kind: 'committed', seq: 1 })
    t.like((await catalog.shards())[0], { cursor: 'c', done: true, seq: 1 })
    t.deepEqual(await catalog.shardState(KEY), { k: 'v' })
    t.deepEqual((await catalog.run(writer.runId))?.counters, { ...NO_COUNTERS, rowsRead: 5 })
    t.deepEqual(await catalog.knownPaths('t', ['a', 'b']), new Set(['a']))
    t.deepEqual(await catalog.liveFiles('t'), [], 'nothing is visible before a version names it')
  })

  test(`${name}: an older epoch changes nothing (L3)`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const old = await newWriter(catalog)
    const holder = await newWriter(catalog)
    const parts = { adds: ['zombie'], state: { k: 1 }, counters: { files: 1 } }
    t.deepEqual(await old.commit(parts), { kind: 'fenced', epoch: 2, seq: 0 })
    await assertUntouched(catalog, old.runId, t)
    t.is((await holder.commit({ adds: ['a'] })).kind, 'committed')
    t.deepEqual(await old.commit(parts), { kind: 'fenced', epoch: 2, seq: 1 })
    t.deepEqual(await catalog.knownPaths('t', ['zombie']), new Set())
  })

  test(`${name}: a wrong seq or generation changes nothing`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const fenced = { kind: 'fenced', epoch: 1, seq: 0 } as const
    t.deepEqual(await writer.commit({ adds: ['x'], expectedSeq: 1 }), fenced)
    t.deepEqual(await writer.commit({ adds: ['x'], expectedSeq: -1 }), fenced)
    t.deepEqual(await writer.commit({ adds: ['x'], generation: 2 }), fenced)
    // A shard that runs ahead of its table: the generation is nobody's.
    const ahead = await newWriter(catalog, { generation: 7 })
    t.deepEqual(await ahead.commit({ adds: ['x'] }), { ...fenced, epoch: 2 })
    await assertUntouched(catalog, writer.runId, t)
  })

  test(`${name}: of two concurrent commits with one seq exactly one wins`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const other = await another()
    await declare(catalog, 's')
    const { epoch } = await catalog.acquireShard(KEY, 1)
    const runId = await catalog.createRun({ ...KEY, kind: 'run', worker: 'w', shardsTotal: 1 })
    const expected: string[] = []
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.all(
        [catalog, other].map((each, index) => {
          const path = `${round}-${index}`
          const change = { table: 't', adds: [dataFile(path)], removes: [], dataChange: true }
          const fixed = { ...KEY, runId, epoch, generation: 1, done: false, state: {} }
          const parts = { expectedSeq: round, cursor: path, changes: [change], counters: {} }
          return each.commit({ ...fixed, ...parts })
        }),
      )
      t.deepEqual(outcomes.map((outcome) => outcome.kind).toSorted(), ['committed', 'fenced'])
      expected.push(`${round}-${outcomes.findIndex((outcome) => outcome.kind === 'committed')}`)
      t.is((await catalog.shards())[0]?.cursor, expected.at(-1))
    }
    const publisher = await newPublisher(catalog)
    await publisher.publish()
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), expected.toSorted())
  })

  test(`${name}: the same commit asked for again gets the same answer, once written`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const parts = { expectedSeq: 0, adds: ['a'], cursor: 1, counters: { files: 1 } }
    t.deepEqual(await writer.commit(parts), { kind: 'committed', seq: 1 })
    t.deepEqual(await writer.commit(parts), { kind: 'committed', seq: 1 })
    t.is((await catalog.run(writer.runId))?.counters.files, 1)
    t.is((await writer.commit({ ...parts, adds: ['b'] })).kind, 'fenced')
    await newPublisher(catalog).then((publisher) => publisher.publish())
    t.deepEqual(await writer.commit(parts), { kind: 'committed', seq: 1 }, 'published or not')
    await catalog.acquireShard(KEY, 1)
    t.is((await writer.commit(parts)).kind, 'fenced', 'but not under a newer epoch')
  })

  test(`${name}: a file can be removed once, while it is live`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's', 'compact')
    const writer = await newWriter(catalog)
    const compactor = await newWriter(catalog, { shard: 'compact' })
    const publisher = await newPublisher(catalog)
    await writer.commit({ adds: ['a', 'b', 'c'] })
    await publisher.publish()
    const missing = { adds: ['ab'], removes: ['a', 'never'], state: { k: 1 } }
    t.deepEqual(await compactor.commit(missing), { kind: 'conflict', path: 'never' })
    t.deepEqual(await catalog.knownPaths('t', ['ab']), new Set())
    t.like((await catalog.shards())[0], { shard: 'compact', seq: 0, cursor: null })
    t.is((await compactor.commit({ adds: ['ab'], removes: ['a', 'b'] })).kind, 'committed')
    const again = { adds: ['bc'], removes: ['b', 'c'] }
    t.deepEqual(await compactor.commit(again), { kind: 'conflict', path: 'b' })
    await publisher.publish()
    t.deepEqual(await compactor.commit(again), { kind: 'conflict', path: 'b' })
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['ab', 'c'])
  })

  test(`${name}: of two concurrent removals of one file exactly one wins`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, 's', 'c1', 'c2')
    await (await newWriter(catalog)).commit({ adds: ['a', 'b'] })
    await (await newPublisher(catalog)).publish()
    const one = await newWriter(catalog, { shard: 'c1' })
    const two = await newWriter(await another(), { shard: 'c2' })
    const outcomes = await Promise.all([
      one.commit({ adds: ['ab1'], removes: ['a', 'b'] }),
      two.commit({ adds: ['ab2'], removes: ['b', 'a'] }),
    ])
    t.deepEqual(outcomes.map((outcome) => outcome.kind).toSorted(), ['committed', 'conflict'])
  })

  test(`${name}: a commit may feed other tables, into the generation readers see`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await catalog.ensureTable({ ...TABLE, name: 'bad_rows' })
    await catalog.beginGeneration('t')
    const writer = await newWriter(catalog, { generation: 2 })
    const change = (table: string, ...paths: string[]) => ({
      table,
      adds: paths.map(dataFile),
      removes: [],
      dataChange: true,
    })
    await writer.commit({ changes: [change('bad_rows', 'q')] })
    await writer.commit({ changes: [change('t', 'a'), change('bad_rows')] })
    t.true(await catalog.hasPending('bad_rows'))
    const publisher = await newPublisher(catalog, 'bad_rows')
    await publisher.publish()
    t.deepEqual(publisher.folds.map(addsOf), [['q']])
    t.like(publisher.folds[0]?.pending[0], { generation: 1, seq: 1, pipeline: 'p', shard: 's' })
    t.deepEqual(await catalog.publishedTxns('bad_rows'), [{ ...KEY, seq: 1 }])
    t.false(await catalog.hasPending('t'), 'the load of t is not visible yet')
  })

  test(`${name}: file facts come back byte for byte`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const file = {
      path: "day=2024-01-01/city=K%C3%B6ln/it's 1.parquet",
      bytes: Number.MAX_SAFE_INTEGER,
      rows: 0,
      stats: '{"numRecords":0, "minValues":{"é":"\\u0000\u{1f99c}"}}',
      partition: { day: '2024-01-01', city: null, ключ: '' },
      schemaRevision: 3,
    }
    const change = { table: 't', adds: [file], removes: [], dataChange: false }
    await writer.commit({ changes: [change], cursor: { x: 1 }, done: true })
    const publisher = await newPublisher(catalog)
    await publisher.publish()
    t.like(publisher.folds[0]?.pending[0], { dataChange: false, done: true, epoch: 1 })
    t.deepEqual(publisher.folds[0]?.pending[0]?.adds, [file])
    t.deepEqual(await catalog.liveFiles('t'), [
      { ...file, ...KEY, generation: 1, version: 0, addedAt: 1_000 },
    ])
  })

  test(`${name}: numbers that a double cannot hold exactly are refused, not rounded`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const unsafe = { name: 'AssertionFailure' }
    const file = { ...dataFile('a'), bytes: Number.MAX_SAFE_INTEGER + 1 }
    const changes = [{ table: 't', adds: [file], removes: [], dataChange: true }]
    await t.throwsAsync(writer.commit({ changes }), unsafe)
    await t.throwsAsync(writer.commit({ counters: { rowsRead: 0.5 } }), unsafe)
    await assertUntouched(catalog, writer.runId, t)
    for (let times = 0; times < 2; times++) {
      await catalog.addCounters(writer.runId, { bytesRead: Number.MAX_SAFE_INTEGER })
    }
    await t.throwsAsync(catalog.run(writer.runId), undefined, 'a sum that does not fit')
  })
}

type Asserts = { deepEqual(actual: unknown, expected: unknown): boolean }

async function assertUntouched(catalog: Catalog, runId: number, t: Asserts): Promise<void> {
  const [shard] = await catalog.shards()
  t.deepEqual([shard?.seq, shard?.cursor, shard?.done], [0, null, false])
  t.deepEqual(await catalog.shardState(KEY), {})
  t.deepEqual((await catalog.run(runId))?.counters, NO_COUNTERS)
  t.deepEqual(await catalog.knownPaths('t', ['x', 'a', 'zombie']), new Set())
}
