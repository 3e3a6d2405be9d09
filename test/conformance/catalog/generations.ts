/** Full loads beside the visible table: seal, abandon, resume. */
import type { Catalog } from '../../../catalog/catalog.ts'
import {
  addsOf,
  declare,
  KEY,
  newPublisher,
  newWorld,
  newWriter,
  pathsOf,
  type Suite,
} from './kit.ts'

export function generationTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a staging generation is begun once and numbers never repeat`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const other = await another()
    await declare(catalog, 's')
    const begun = await Promise.all([catalog.beginGeneration('t'), other.beginGeneration('t')])
    t.deepEqual(
      begun.map((table) => [table.generation, table.staging]),
      [
        [1, 2],
        [1, 2],
      ],
    )
    await catalog.abandonGeneration('t')
    t.is((await catalog.table('t'))?.staging, null)
    t.is((await catalog.beginGeneration('t')).staging, 3)
  })

  test(`${name}: a sealed load replaces the visible files in one version`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    await declare(catalog, 's', 's2')
    const publisher = await newPublisher(catalog)
    await loadFirst(catalog)
    await publisher.publish()
    await catalog.beginGeneration('t')
    const one = await newWriter(catalog, { generation: 2 })
    const two = await newWriter(catalog, { shard: 's2', generation: 2 })
    await one.commit({ adds: ['new1'] })
    await one.commit({ adds: ['new2'], done: true })
    await two.commit({ adds: ['new3'], done: true })
    t.is((await publisher.publish()).kind, 'nothing', 'readers keep the old rows until then')
    t.true(await catalog.sealGeneration('t'))
    t.like(await catalog.table('t'), { generation: 2, staging: null })
    t.true(await catalog.hasPending('t'))
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['old'], 'sealed, but no version says so')

    clock.now = 5_000
    const outcome = await publisher.publish(1)
    t.like(outcome, { kind: 'prepared', more: false })
    const fold = publisher.folds.at(-1)!
    t.deepEqual(addsOf(fold), ['new1', 'new2', 'new3'], 'all of it, whatever the limit')
    t.deepEqual(pathsOf(fold.replaced), ['old'])
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['new1', 'new2', 'new3'])
    t.deepEqual(await catalog.removedFiles('t', 5_000), [
      { path: 'old', bytes: 100, partition: {}, version: 1, removedAt: 5_000 },
    ])
    t.false(await catalog.hasPending('t'))
    t.is((await publisher.publish()).kind, 'nothing')
  })

  test(`${name}: nothing is sealed while one shard of the table is not done for it`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's', 'late')
    t.false(await catalog.sealGeneration('t'), 'nothing is staged')
    await newWriter(catalog).then((writer) => writer.commit({ done: true }))
    await newWriter(catalog, { shard: 'late' }).then((writer) => writer.commit({ done: true }))
    await catalog.beginGeneration('t')
    t.false(await catalog.sealGeneration('t'), 'done for the older generation only')
    const writer = await newWriter(catalog, { generation: 2 })
    const late = await newWriter(catalog, { shard: 'late', generation: 2 })
    await writer.commit({ done: true })
    t.false(await catalog.sealGeneration('t'), 'one has not finished')
    await late.commit({ done: true })
    await catalog.ensureShards([{ pipeline: 'p', shard: 'new', table: 't', spec: null }])
    t.false(await catalog.sealGeneration('t'), 'one has not begun')
    await catalog.dropShards('p', ['new'])
    t.like(await catalog.table('t'), { generation: 1, staging: 2 })
    t.true(await catalog.sealGeneration('t'))
  })

  test(`${name}: shards that only rewrite files do not hold up a generation`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await catalog.ensureShards([
      { pipeline: 'p', shard: 'compact', table: 't', spec: null, upkeep: true },
    ])
    await catalog.beginGeneration('t')
    await newWriter(catalog, { generation: 2 }).then((writer) => writer.commit({ done: true }))
    t.true(await catalog.sealGeneration('t'))
  })

  test(`${name}: an empty load empties the table`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const publisher = await newPublisher(catalog)
    await loadFirst(catalog)
    await publisher.publish()
    await catalog.beginGeneration('t')
    await newWriter(catalog, { generation: 2 }).then((writer) => writer.commit({ done: true }))
    await catalog.sealGeneration('t')
    t.is((await publisher.publish()).kind, 'prepared')
    t.deepEqual(pathsOf(publisher.folds.at(-1)!.replaced), ['old'])
    t.deepEqual(await catalog.liveFiles('t'), [])
    t.deepEqual(await catalog.publishedTxns('t'), [{ ...KEY, seq: 2 }])
  })

  test(`${name}: an interrupted load goes on where it stopped`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, 's')
    await catalog.beginGeneration('t')
    await (await newWriter(catalog, { generation: 2 })).commit({ adds: ['a'], cursor: 'half' })
    const later = await another()
    t.is((await later.beginGeneration('t')).staging, 2)
    t.like(await later.acquireShard(KEY, 2), { cursor: 'half', seq: 1, generation: 2 })
    const writer = await newWriter(later, { generation: 2 })
    await writer.commit({ adds: ['b'], done: true })
    t.true(await later.sealGeneration('t'))
    const publisher = await newPublisher(later)
    await publisher.publish()
    t.deepEqual(pathsOf(await later.liveFiles('t')), ['a', 'b'])
  })

  test(`${name}: an abandoned load leaves no trace and gives the old cursor back`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's', 'new')
    const publisher = await newPublisher(catalog)
    const first = await newWriter(catalog)
    await first.commit({ adds: ['old'], cursor: 'mine', done: true, state: { etag: 1 } })
    await publisher.publish()
    await catalog.beginGeneration('t')
    const staged = await newWriter(catalog, { generation: 2 })
    t.deepEqual(await catalog.shardState(KEY), {}, 'a new load knows no etags')
    await staged.commit({ adds: ['lost'], state: { etag: 2 } })
    await catalog.abandonGeneration('t')

    t.is((await staged.commit({ adds: ['zombie'] })).kind, 'fenced')
    t.deepEqual(await catalog.knownPaths('t', ['old', 'lost', 'zombie']), new Set(['old']))
    t.is((await publisher.publish()).kind, 'nothing')
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['old'])
    t.deepEqual(await catalog.shardState(KEY), { etag: 1 })
    t.like(await catalog.acquireShard(KEY, 1), {
      cursor: 'mine',
      done: true,
      generation: 1,
      seq: 2,
    })
    await catalog.abandonGeneration('t')
    t.like((await catalog.shards())[1], { cursor: 'mine' }, 'abandoning nothing does nothing')
  })

  test(`${name}: the state of a sealed load takes the place of the old one`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await newWriter(catalog).then((writer) => writer.commit({ state: { old: 1 } }))
    await catalog.beginGeneration('t')
    const writer = await newWriter(catalog, { generation: 2 })
    await writer.commit({ state: { fresh: 2 }, done: true })
    await catalog.sealGeneration('t')
    t.deepEqual(await catalog.shardState(KEY), { fresh: 2 })
    await writer.commit({ state: { more: 3 } })
    t.deepEqual(await catalog.shardState(KEY), { fresh: 2, more: 3 })
  })

  test(`${name}: commits of a replaced generation that no version holds are buried`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    await declare(catalog, 's')
    await loadFirst(catalog)
    await catalog.beginGeneration('t')
    await newWriter(catalog, { generation: 2 }).then((writer) =>
      writer.commit({ adds: ['new'], done: true }),
    )
    clock.now = 2_000
    await catalog.sealGeneration('t')
    const publisher = await newPublisher(catalog)
    await publisher.publish()
    t.deepEqual(publisher.folds.map(addsOf), [['new']])
    t.deepEqual(pathsOf(publisher.folds[0]!.replaced), [], 'no version ever named the old file')
    t.deepEqual(pathsOf(await catalog.removedFiles('t', 2_000)), ['old'])
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['new'])
  })

  test(`${name}: a writer of the replaced generation is fenced after the seal`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await catalog.ensureShards([
      { pipeline: 'p', shard: 'c', table: 't', spec: null, upkeep: true },
    ])
    await loadFirst(catalog)
    await (await newPublisher(catalog)).publish()
    const compactor = await newWriter(catalog, { shard: 'c' })
    await catalog.beginGeneration('t')
    const writer = await newWriter(catalog, { generation: 2 })
    await writer.commit({ adds: ['new'], done: true })
    await catalog.sealGeneration('t')
    t.is((await compactor.commit({ adds: ['x'], removes: ['old'] })).kind, 'fenced')
    t.is((await writer.commit({ adds: ['new2'] })).kind, 'committed')
    const later = await newWriter(catalog, { shard: 'c', generation: 2 })
    t.deepEqual(
      await later.commit({ adds: ['y'], removes: ['new'] }),
      { kind: 'conflict', path: 'new' },
      'its first version must name all files of the load',
    )
  })
}

async function loadFirst(catalog: Catalog): Promise<void> {
  const writer = await newWriter(catalog)
  await writer.commit({ adds: ['old'], done: true })
}
