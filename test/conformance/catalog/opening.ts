/** Opening, reopening, versions of the schema, and restoring from a log. */
import type { Catalog, RestoredTable } from '../../../catalog/catalog.ts'
import { newGroup, startRun } from './cluster-kit.ts'
import {
  dataFile,
  declare,
  depsOf,
  KEY,
  newPublisher,
  newRun,
  newWorld,
  newWriter,
  pathsOf,
  type Place,
  type Suite,
  TABLE,
} from './kit.ts'

export function openingTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: connections that open a new place together agree on one catalog`, async (t) => {
    const place = await suite.newPlace(t)
    const opened = await Promise.all(
      Array.from({ length: 5 }, () => place.open(depsOf({ now: 1 }))),
    )
    for (const catalog of opened) t.teardown(() => catalog[Symbol.asyncDispose]())
    t.is(new Set(opened.map((catalog) => catalog.id)).size, 1)
    await declare(opened[0]!, 's')
    for (const catalog of opened) t.is((await catalog.shards()).length, 1)
  })

  test(`${name}: what was written is there after everything was closed`, async (t) => {
    const { place, catalog, clock } = await newWorld(t, suite)
    await declare(catalog, 's')
    const writer = await newWriter(catalog)
    await writer.commit({
      adds: ['a'],
      cursor: { deep: [1] },
      state: { k: 1 },
      counters: { files: 1 },
    })
    const publisher = await newPublisher(catalog)
    await publisher.publish()
    await writer.commit({ adds: ['b'] })
    const before = await everything(catalog, writer.runId)
    await catalog[Symbol.asyncDispose]()
    await using again = await place.open(depsOf(clock))
    t.is(again.id, catalog.id)
    t.deepEqual(await everything(again, writer.runId), before)
    t.regex(again.label, /^(sqlite:\/|postgres:\/\/)/)
  })

  test(`${name}: closing twice is no error, using a closed catalog is`, async (t) => {
    const { place } = await newWorld(t, suite)
    const catalog = await place.open(depsOf({ now: 1 }))
    await catalog[Symbol.asyncDispose]()
    await catalog[Symbol.asyncDispose]()
    await t.throwsAsync(catalog.tables())
  })

  test(`${name}: a catalog from a newer program is refused`, async (t) => {
    const { place, clock } = await newWorld(t, suite)
    await addMigration(place, 4711)
    await t.throwsAsync(place.open(depsOf(clock)), {
      code: 'CATALOG_VERSION',
      message: /4711/,
    })
  })

  test(`${name}: a catalog of a newer program is used when that program says it may`, async (t) => {
    const { place, clock } = await newWorld(t, suite)
    const tables = ['shard', 'run', 'run_shard', 'run_event', 'table_commit', 'worker', 'placement']
    const sql = tables.map((table) => `alter table ${table} add column later text`).join('; ')
    await place.exec(sql)
    await addMigration(place, 4711, 2)
    await using catalog = await place.open(depsOf(clock))
    await declare(catalog, 'a', 'b')
    const { runId } = await startRun(catalog, ['a', 'b'])
    const group = await newGroup(catalog, ['a', 'b'], { runId })
    t.is((await group.commit({ adds: ['x'], done: true })).kind, 'committed')
    t.is((await newPublisher(catalog).then((publisher) => publisher.publish())).kind, 'prepared')
    t.is((await catalog.runProgress(runId)).done, 2)
    await addMigration(place, 4712, 3)
    await t.throwsAsync(place.open(depsOf(clock)), {
      code: 'CATALOG_VERSION',
      message: /4712.* 3;/,
    })
  })

  test(`${name}: a restored table goes on above everything its log tells`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const restored = restoredTable()
    await catalog.restoreTable(restored)
    const { table } = restored
    t.like(await catalog.table('t'), { ...table, staging: null })
    const live = restored.live.map((file) => ({ ...file, addedAt: 15 }))
    t.deepEqual(await catalog.liveFiles('t'), live, 'with the time of the version in the log')
    t.deepEqual(await catalog.removedFiles('t', 0), restored.removed)
    t.deepEqual(await catalog.logEntries('t', 9), restored.log.toReversed())
    t.deepEqual(await catalog.unpublished('t'), [])
    t.deepEqual(await catalog.publishedTxns('t'), [{ ...KEY, seq: 8 }])
    t.like((await catalog.schemaRevisions('t'))[0], { revision: 2 })
    t.false(await catalog.hasPending('t'))
    t.is(await newRun(catalog), 42, 'runs are numbered on: names of files hold the number')

    const row = await catalog.acquireShard(KEY, 3)
    t.like(row, { cursor: 'c', seq: 8, generation: 3 })
    t.true(row.epoch > 5 + 1_000, 'above epochs that were handed out and never logged')
    const writer = await newWriter(catalog, { generation: 3 })
    t.deepEqual(await writer.commit({ adds: ['new'] }), { kind: 'committed', seq: 9 })
    const publisher = await newPublisher(catalog)
    await publisher.publish()
    t.like(publisher.folds[0], { version: 2, schemaChanged: false, replaced: [] })
    t.deepEqual(pathsOf(await catalog.liveFiles('t')), ['live', 'new'])
    await t.throwsAsync(catalog.restoreTable(restored), { code: 'STATE_INVALID' })
  })
}

/** Pretends that a newer program has been here, which works with those that know `oldest`. */
async function addMigration(place: Place, id: number, oldest?: number): Promise<void> {
  await place.exec(`insert into migration (id, name, applied_at, oldest)
    values (${id}, 'later', 0, ${oldest ?? 'null'})`)
}

async function everything(catalog: Catalog, runId: number): Promise<readonly unknown[]> {
  return [
    await catalog.tables(),
    await catalog.shards(),
    await catalog.shardState(KEY),
    await catalog.liveFiles('t'),
    await catalog.logEntries('t', 10),
    await catalog.publishedTxns('t'),
    await catalog.hasPending('t'),
    await catalog.run(runId),
  ]
}

function restoredTable(): RestoredTable {
  const entry = { table: 't', body: '{}\n', publishedAt: 20 }
  return {
    table: {
      ...TABLE,
      uuid: 'f3b0c8f0-0000-4000-8000-000000000000',
      generation: 3,
      schemaRevision: 2,
      columns: [],
      nextVersion: 2,
    },
    shards: [{ ...KEY, table: 't', spec: null, cursor: 'c', seq: 8, generation: 3, done: true }],
    epochs: { 'p/s': 5 },
    live: [{ ...dataFile('live'), ...KEY, generation: 3, version: 1 }],
    removed: [{ path: 'gone', bytes: 5, partition: { d: null }, version: 1, removedAt: 15 }],
    log: [
      { ...entry, version: 0, createdAt: 10 },
      { ...entry, version: 1, createdAt: 15 },
    ],
    lastRunId: 41,
  }
}
