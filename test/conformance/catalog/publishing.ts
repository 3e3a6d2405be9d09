/** From pending commits to versions of the log, and what remains of removed files. */
import type { Catalog } from '../../../catalog/catalog.ts'
import {
  addsOf,
  bodyOf,
  declare,
  KEY,
  newPublisher,
  newWorld,
  newWriter,
  nextTurn,
  pathsOf,
  type Suite,
} from './kit.ts'

export function publishTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: pending commits become the next version, in the order of their ids`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    await declare(catalog, 's', 's2')
    const one = await newWriter(catalog)
    const two = await newWriter(catalog, { shard: 's2' })
    await one.commit({ adds: ['a', 'b'] })
    await two.commit({ adds: ['c'] })
    await one.commit({ adds: ['d'] })
    const publisher = await newPublisher(catalog)
    clock.now = 7_000
    const outcome = await publisher.publish()
    const input = publisher.folds[0]!
    t.like(input, { catalogId: catalog.id, version: 0, now: 7_000, schemaChanged: true })
    t.deepEqual(input.table, { ...(await catalog.table('t'))!, nextVersion: 0 })
    t.deepEqual(
      input.pending.map((each) => [
        each.shard,
        each.seq,
        each.cursor,
        each.adds.map((f) => f.path),
      ]),
      [
        ['s', 1, { at: 1 }, ['a', 'b']],
        ['s2', 1, { at: 1 }, ['c']],
        ['s', 2, { at: 2 }, ['d']],
      ],
    )
    const entry = {
      table: 't',
      version: 0,
      body: bodyOf(input),
      publishedAt: null,
      createdAt: 7_000,
    }
    t.deepEqual(outcome, { kind: 'prepared', entry, more: false })
    t.deepEqual(await catalog.unpublished('t'), [entry])
    t.is((await catalog.table('t'))?.nextVersion, 1)
    t.deepEqual(await catalog.publishedTxns('t'), [
      { ...KEY, seq: 2 },
      { pipeline: 'p', shard: 's2', seq: 1 },
    ])
    t.is((await publisher.publish()).kind, 'nothing')
  })

  test(`${name}: a version takes at most as many commits as allowed and says if more wait`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    for (const path of ['a', 'b', 'c']) await writer.commit({ adds: [path] })
    const publisher = await newPublisher(catalog)
    t.like(await publisher.publish(2), { kind: 'prepared', more: true })
    t.like(await publisher.publish(2), { kind: 'prepared', more: false })
    t.deepEqual(publisher.folds.map(addsOf), [['a', 'b'], ['c']])
    const live = await catalog.liveFiles('t')
    t.deepEqual(
      live.map((file) => [file.path, file.version]),
      [
        ['a', 0],
        ['b', 0],
        ['c', 1],
      ],
    )
  })

  test(`${name}: a commit without files waits for one that has some`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's', 'idle')
    const idle = await newWriter(catalog, { shard: 'idle' })
    const publisher = await newPublisher(catalog)
    for (let times = 0; times < 3; times++) await idle.commit()
    t.false(await catalog.hasPending('t'))
    t.is((await publisher.publish()).kind, 'nothing')
    t.is((await catalog.table('t'))?.nextVersion, 0)
    await newWriter(catalog).then((writer) => writer.commit({ adds: ['a'] }))
    t.true(await catalog.hasPending('t'))
    t.like(await publisher.publish(1), { kind: 'prepared', more: false })
    t.deepEqual(
      publisher.folds[0]?.pending.map((each) => [each.shard, each.seq]),
      [
        ['idle', 3],
        ['s', 1],
      ],
      'only the newest position of an idle shard matters',
    )
    t.deepEqual(await catalog.publishedTxns('t'), [
      { pipeline: 'p', shard: 'idle', seq: 3 },
      { ...KEY, seq: 1 },
    ])
  })

  test(`${name}: an older publisher is fenced, before and after the newer one wrote`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    await writer.commit({ adds: ['a'] })
    const old = await newPublisher(catalog)
    const newer = await newPublisher(await another())
    t.deepEqual([old.epoch, newer.epoch], [1, 2])
    t.deepEqual(await old.publish(), { kind: 'fenced' })
    t.is((await newer.publish()).kind, 'prepared')
    await writer.commit({ adds: ['b'] })
    t.deepEqual(await old.publish(), { kind: 'fenced' })
    t.deepEqual(old.folds, [])
    t.is((await newer.publish()).kind, 'prepared')
  })

  test(`${name}: publishers that race with one epoch never write a version twice`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const connections = [catalog, await another(), await another()]
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    for (let index = 0; index < 12; index++) await writer.commit({ adds: [`f${index}`] })
    const epoch = await catalog.acquirePublisher('t')
    const publish = (each: Catalog) => each.preparePublish('t', epoch, 3, bodyOf)
    const outcomes = await Promise.all([...connections, ...connections].map(publish))
    const versions = outcomes.flatMap((each) => (each.kind === 'prepared' ? [each.entry] : []))
    t.deepEqual(
      versions.map((entry) => entry.version).toSorted((a, b) => a - b),
      [0, 1, 2, 3],
    )
    const bodies = versions.map((entry) => entry.body).join('')
    for (let index = 0; index < 12; index++) t.is(bodies.split(`f${index}\n`).length, 2)
  })

  test(`${name}: every commit is in exactly one version while all write and publish`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const shards = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    // Enough that commits become visible out of the order of their ids while a version is made.
    const rounds = Array.from({ length: 80 }, (_, index) => index + 1)
    await declare(catalog, ...shards)
    const connections = [catalog, await another(), await another()]
    const publisher = await newPublisher(await another())
    let writing = true
    const publishing = (async () => {
      while (writing || (await catalog.hasPending('t'))) {
        await publisher.publish()
        await nextTurn()
      }
    })()
    await Promise.all(
      shards.map(async (shard, index) => {
        const writer = await newWriter(connections[index % 3]!, { shard })
        for (const round of rounds) await writer.commit({ adds: [`${shard}${round}`] })
      }),
    )
    writing = false
    await publishing
    const expected = shards.flatMap((shard) => rounds.map((round) => `${shard}${round}`))
    t.deepEqual(publisher.folds.flatMap(addsOf).toSorted(), expected.toSorted())
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), expected.toSorted())
    for (const shard of shards) {
      const commits = publisher.folds.flatMap((fold) => fold.pending)
      const seqs = commits.filter((commit) => commit.shard === shard).map((commit) => commit.seq)
      t.deepEqual(seqs, rounds, 'in order')
    }
  })

  test(`${name}: no version adds and removes the same file`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's', 'compact')
    const writer = await newWriter(catalog)
    const compactor = await newWriter(catalog, { shard: 'compact' })
    const publisher = await newPublisher(catalog)
    await writer.commit({ adds: ['a'] })
    await publisher.publish()
    await writer.commit({ adds: ['b'] })
    t.is((await compactor.commit({ adds: ['ab'], removes: ['a', 'b'] })).kind, 'committed')
    await writer.commit({ adds: ['c'] })
    t.like(await publisher.publish(), { kind: 'prepared', more: true })
    t.like(await publisher.publish(), { kind: 'prepared', more: false })
    t.deepEqual(publisher.folds.map(addsOf), [['a'], ['b'], ['ab', 'c']])
    t.deepEqual(publisher.folds[2]?.pending[0]?.removes, ['a', 'b'])
    t.deepEqual(
      publisher.folds.map((fold) => pathsOf(fold.removing ?? [])),
      [[], [], ['a', 'b']],
    )
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['ab', 'c'])
  })

  test(`${name}: a fold that throws leaves everything pending`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    await newWriter(catalog).then((writer) => writer.commit({ adds: ['a'] }))
    const epoch = await catalog.acquirePublisher('t')
    const failing = catalog.preparePublish('t', epoch, 10, () => {
      throw new Error('no fold')
    })
    await t.throwsAsync(failing, { message: 'no fold' })
    t.true(await catalog.hasPending('t'))
    t.deepEqual(await catalog.unpublished('t'), [])
    t.is((await catalog.preparePublish('t', epoch, 10, bodyOf)).kind, 'prepared')
  })

  test(`${name}: a version says when it is the first to know a schema revision`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const publisher = await newPublisher(catalog)
    const publish = async (path: string) => {
      await writer.commit({ adds: [path] })
      await publisher.publish()
    }
    await publish('a')
    await publish('b')
    await catalog.evolveSchema('t', 0, [], ['nothing much'], null)
    t.is((await publisher.publish()).kind, 'nothing', 'a schema alone is no version')
    await publish('c')
    await publish('d')
    t.deepEqual(
      publisher.folds.map((fold) => fold.schemaChanged),
      [true, false, true, false],
    )
  })

  test(`${name}: versions are in order of time even when the clock goes back`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const publisher = await newPublisher(catalog)
    for (const now of [5_000, 4_000, 6_000]) {
      clock.now = now
      await writer.commit({ adds: [`at ${now}`] })
      await publisher.publish()
    }
    t.deepEqual(
      publisher.folds.map((fold) => fold.now),
      [5_000, 5_000, 6_000],
    )
  })

  test(`${name}: entries stay unpublished, in order, until they are marked`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    const publisher = await newPublisher(catalog)
    for (const path of ['a', 'b', 'c']) {
      await writer.commit({ adds: [path] })
      await publisher.publish()
    }
    clock.now = 9_000
    await catalog.markPublished('t', 0)
    clock.now = 9_500
    await catalog.markPublished('t', 0)
    const versions = (entries: readonly { version: number }[]) => entries.map((e) => e.version)
    t.deepEqual(versions(await catalog.unpublished('t')), [1, 2])
    const entries = await catalog.logEntries('t', 10)
    t.deepEqual(
      entries.map((entry) => [entry.version, entry.publishedAt]),
      [
        [2, null],
        [1, null],
        [0, 9_000],
      ],
    )
    t.deepEqual(versions(await catalog.logEntries('t', 1)), [2])
    t.deepEqual(await catalog.unpublished('other'), [])
  })

  test(`${name}: removed files are remembered until they are forgotten`, async (t) => {
    const { catalog, clock } = await newWorld(t, suite)
    await declare(catalog, 's', 'compact')
    const publisher = await newPublisher(catalog)
    await newWriter(catalog).then((writer) => writer.commit({ adds: ['a', 'b', 'c'] }))
    await publisher.publish()
    const compactor = await newWriter(catalog, { shard: 'compact' })
    for (const path of ['a', 'b']) {
      clock.now += 1_000
      await compactor.commit({ removes: [path] })
      await publisher.publish()
    }
    t.deepEqual(await catalog.removedFiles('t', 0), [
      { path: 'a', bytes: 100, partition: {}, version: 1, removedAt: 2_000 },
      { path: 'b', bytes: 100, partition: {}, version: 2, removedAt: 3_000 },
    ])
    t.deepEqual(pathsOf(await catalog.removedFiles('t', 2_001)), ['b'])
    await catalog.forgetRemoved('t', ['a', 'c', 'unknown'])
    t.deepEqual(pathsOf(await catalog.removedFiles('t', 0)), ['b'])
    const paths = ['a', 'b', 'c', 'unknown']
    t.deepEqual(
      await catalog.knownPaths('t', paths),
      new Set(['b', 'c']),
      'a live file stays known',
    )
    t.deepEqual(await catalog.knownPaths('other', paths), new Set())
  })
}
