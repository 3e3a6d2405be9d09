/** Tables, schema revisions and decisions. */
import type { Column } from '../../../lib/column.ts'
import { declare, KEY, newPublisher, newWorld, newWriter, type Suite, TABLE } from './kit.ts'

const COLUMN: Column = { id: 1, name: 'city', type: 'string', source: 'City', sourceType: 'text' }

export function tableTests(suite: Suite): void {
  const { test, name } = suite

  test(`${name}: a new table starts at generation 1, revision 0, version 0`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const table = await catalog.ensureTable({ ...TABLE, mode: 'upsert', key: ['a', 'b'] })
    const { uuid, ...rest } = table
    t.regex(uuid, /^[\da-f-]{36}$/)
    t.deepEqual(rest, {
      ...TABLE,
      mode: 'upsert',
      key: ['a', 'b'],
      generation: 1,
      staging: null,
      schemaRevision: 0,
      columns: [],
      nextVersion: 0,
      publishEpoch: 0,
    })
    t.deepEqual(await catalog.table('t'), table)
    t.deepEqual(await catalog.tables(), [table])
    t.is(await catalog.table('other'), undefined)
  })

  test(`${name}: mode, key and partitions of a table change until it has files`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    await declare(catalog, 's')
    const changed = { ...TABLE, mode: 'upsert', key: ['k'], partitionBy: ['d'] } as const
    const table = await catalog.ensureTable(changed)
    t.like(table, { mode: 'upsert', key: ['k'], partitionBy: ['d'] })
    await (await newWriter(catalog)).commit({ adds: ['a'] })
    t.like(await catalog.ensureTable(TABLE), { mode: 'upsert', key: ['k'], uuid: table.uuid })
  })

  test(`${name}: two connections that declare one table get the same row`, async (t) => {
    const { catalog, another } = await newWorld(t, suite)
    const other = await another()
    const [one, two] = await Promise.all([catalog.ensureTable(TABLE), other.ensureTable(TABLE)])
    t.deepEqual(one, two)
  })

  test(`${name}: of concurrent schema changes one wins, the others get its row`, async (t) => {
    const { catalog, another, clock } = await newWorld(t, suite)
    await catalog.ensureTable(TABLE)
    const connections = [catalog, await another(), await another()]
    const outcomes = await Promise.all(
      connections.map((each, index) =>
        each.evolveSchema('t', 0, [{ ...COLUMN, id: index + 1 }], [`change ${index}`], index),
      ),
    )
    const winners = outcomes.filter((outcome) => outcome.kind === 'evolved')
    t.is(winners.length, 1)
    for (const outcome of outcomes) t.deepEqual(outcome.table, winners[0]?.table)
    const runId = (winners[0]?.table.columns[0]?.id ?? 0) - 1
    t.deepEqual(await catalog.schemaRevisions('t'), [
      {
        table: 't',
        revision: 1,
        columns: winners[0]?.table.columns,
        changes: [`change ${runId}`],
        runId,
        createdAt: clock.now,
      },
    ])
  })

  test(`${name}: schema revisions are listed for one table or for all`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    for (const table of ['b', 'a']) {
      await catalog.ensureTable({ ...TABLE, name: table })
      await catalog.evolveSchema(table, 0, [COLUMN], ['added'], null)
    }
    await catalog.evolveSchema('a', 1, [], ['removed'], null)
    const named = (rows: readonly { table: string; revision: number }[]) =>
      rows.map((row) => `${row.table}${row.revision}`)
    t.deepEqual(named(await catalog.schemaRevisions()), ['a1', 'a2', 'b1'])
    t.deepEqual(named(await catalog.schemaRevisions('a')), ['a1', 'a2'])
    t.deepEqual((await catalog.schemaRevisions('b'))[0]?.columns, [COLUMN])
  })

  test(`${name}: an equal decision is asked for once, whatever became of it`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const first = await catalog.requestDecision('t', 'p', { kind: 'add', column: 'x' })
    t.like(first, { table: 't', pipeline: 'p', status: 'pending' })
    t.deepEqual(first.change, { kind: 'add', column: 'x' })
    t.deepEqual(await catalog.requestDecision('t', 'p', { column: 'x', kind: 'add' }), first)
    t.is((await catalog.decide(first.id, 'denied'))?.status, 'denied')
    const again = await catalog.requestDecision('t', 'p', { kind: 'add', column: 'x' })
    t.deepEqual(again, { ...first, status: 'denied' })
    const other = await catalog.requestDecision('t', 'p', { kind: 'add', column: 'y' })
    t.deepEqual(await catalog.decisions('pending'), [other])
    t.deepEqual(await catalog.decisions(), [again, other])
    t.is(await catalog.decide(999, 'approved'), undefined)
  })

  test(`${name}: what names an unknown table or shard is NOT_FOUND`, async (t) => {
    const { catalog } = await newWorld(t, suite)
    const notFound = { code: 'NOT_FOUND' }
    await t.throwsAsync(catalog.evolveSchema('t', 0, [], [], null), notFound)
    await t.throwsAsync(catalog.beginGeneration('t'), notFound)
    await t.throwsAsync(newPublisher(catalog), notFound)
    await t.throwsAsync(catalog.acquireShard(KEY, 1), notFound)
    await catalog.ensureShards([{ ...KEY, table: 't', spec: null }])
    await t.throwsAsync(
      newWriter(catalog).then((writer) => writer.commit()),
      notFound,
    )
    await catalog.ensureTable(TABLE)
    const writer = await newWriter(catalog)
    const changes = [{ table: 'nowhere', adds: [], removes: ['x'], dataChange: true }]
    await t.throwsAsync(writer.commit({ changes }), notFound)
    t.is((await catalog.shards())[0]?.seq, 0)
  })
}
