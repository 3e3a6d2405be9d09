/** Shards, epochs, cursors and connector state. */
import type { Json } from '../../../lib/json.ts'
import { declare, KEY, newWorld, newWriter, type Suite } from './kit.ts'

export function shardTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a known shard keeps its spec and position when it is declared again`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await (await newWriter(catalog)).commit()
    const before = await catalog.shards('p')
    await catalog.ensureShards([{ ...KEY, table: 't', spec: { other: true } }])
    t.deepEqual(await catalog.shards('p'), before)
    t.like(before[0], { seq: 1, epoch: 1, generation: 1, spec: null, paused: false })
    t.deepEqual(before[0]?.cursor, { at: 1 })
    t.deepEqual(await catalog.shards('other'), [])
  })

  test(`${name}: twenty thousand shards are declared in one call`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const shards = Array.from({ length: 20_000 }, (_, index) => `s${index}`)
    await declare(catalog, ...shards)
    t.is((await catalog.shards()).length, 20_000)
    await catalog.dropShards('p', shards.slice(1))
    t.is((await catalog.shards()).length, 1)
  })

  test(`${name}: concurrent acquisitions get distinct epochs, and the highest stands`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, 's')
    const connections = [catalog, await another(), catalog, await another()]
    const rows = await Promise.all(connections.map((each) => each.acquireShard(KEY, 1)))
    t.deepEqual(
      rows.map((row) => row.epoch).toSorted((a, b) => a - b),
      [1, 2, 3, 4],
    )
    t.is((await catalog.shards())[0]?.epoch, 4)
  })

  test(`${name}: a newer generation starts at null, an older one changes only the epoch`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await (await newWriter(catalog)).commit({ done: true })
    const newer = await catalog.acquireShard(KEY, 2)
    t.like(newer, { generation: 2, cursor: null, done: false, seq: 1, epoch: 2 })
    const older = await catalog.acquireShard(KEY, 1)
    t.like(older, { generation: 2, cursor: null, done: false, seq: 1, epoch: 3 })
    const backward = await newWriter(catalog, { generation: 1 })
    t.deepEqual(await backward.commit({ adds: ['x'] }), { kind: 'fenced', epoch: 4, seq: 1 })
  })

  test(`${name}: a cursor set by hand fences the worker that holds the shard`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    await writer.commit({ done: true })
    const row = await catalog.setCursor(KEY, [1, 'two', { three: null }])
    t.deepEqual(row?.cursor, [1, 'two', { three: null }])
    t.like(row, { epoch: 2, seq: 1, done: false })
    t.deepEqual(await writer.commit({ adds: ['late'] }), { kind: 'fenced', epoch: 2, seq: 1 })
    t.is(await catalog.setCursor({ pipeline: 'p', shard: 'none' }, 1), undefined)
  })

  test(`${name}: cursors of any JSON come back equal`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const cursors: Json[] = [
      null,
      true,
      0,
      -1.5e-300,
      Number.MAX_SAFE_INTEGER,
      '',
      'line\nbreak \0 \u{1f99c} \ud800 "\\',
      { '': [[], {}], b: null, a: 9_007_199_254_740_993n.toString() },
    ]
    for (const cursor of cursors) {
      t.deepEqual((await catalog.setCursor(KEY, cursor))?.cursor, cursor)
      t.deepEqual((await catalog.shards())[0]?.cursor, cursor)
    }
  })

  test(`${name}: a dropped shard is gone, and comes back above all it had written`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's', 'kept')
    const writer = await newWriter(catalog)
    await writer.commit({ adds: ['a'], state: { tag: 1 } })
    await catalog.dropShards('p', ['s', 'unknown'])
    t.deepEqual(
      (await catalog.shards()).map((row) => row.shard),
      ['kept'],
    )
    t.is((await writer.commit({ adds: ['b'] })).kind, 'fenced')
    await t.throwsAsync(catalog.acquireShard(KEY, 1), { code: 'NOT_FOUND' })
    t.is(await catalog.setCursor(KEY, 1), undefined)
    t.true(await catalog.hasPending('t'), 'its commits stay')

    await catalog.ensureShards([{ ...KEY, table: 't', spec: 'new' }])
    t.like((await catalog.shards())[1], { shard: 's', epoch: 2, seq: 1, generation: 0 })
    const row = await catalog.acquireShard(KEY, 1)
    t.like(row, { spec: 'new', cursor: null, seq: 1, done: false })
    t.true(row.epoch > writer.epoch)
    t.deepEqual(await catalog.shardState(KEY), {})
    t.is((await writer.commit({ adds: ['c'] })).kind, 'fenced')
  })

  test(`${name}: connector state moves with a commit, key by key`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's', 'other')
    const writer = await newWriter(catalog)
    const url = `https://example.org/${'long/'.repeat(2_000)}`
    await writer.commit({ state: { [url]: { etag: '"x"' }, b: 1, c: 2 } })
    await writer.commit({ state: { b: null, c: [3], unknown: null } })
    t.deepEqual(await catalog.shardState(KEY), { [url]: { etag: '"x"' }, c: [3] })
    t.deepEqual(await catalog.shardState({ pipeline: 'p', shard: 'other' }), {})
    await catalog.acquireShard(KEY, 1)
    t.is((await writer.commit({ state: { c: null } })).kind, 'fenced')
    t.deepEqual((await catalog.shardState(KEY))['c'], [3], 'a fenced commit moves nothing')
    await catalog.clearShardState(KEY)
    t.deepEqual(await catalog.shardState(KEY), {})
  })
}
