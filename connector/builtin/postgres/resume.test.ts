/**
 * Resuming, cutting and growing, as properties over random tables on a real server: from every cursor
 * exactly the remaining rows, over all ranges exactly the table, over all runs exactly once.
 */
import fc from 'fast-check'
import test from 'ava'
import type { Json } from '../../../lib/json.ts'
import type { ReadMode, SourceShard } from '../../connector.ts'
import {
  connectTo,
  openShard,
  readShardFully,
  testContext,
  type TextRow,
} from '../../../test/support/postgres-source.ts'
import { startPostgres, type Postgres } from '../../../test/support/postgres.ts'
import type { PostgresConfig } from './config.ts'
import { createPostgresConnector } from './postgres.ts'

let server: Postgres
let url: string
let beside: Awaited<ReturnType<typeof connectTo>>

/** Collations that order and equate texts in ways that bytes do not. */
const COLLATIONS = `
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION natural_order (provider = icu, locale = 'en-u-kn-true');
CREATE EXTENSION citext; CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');`

test.before(async () => {
  server = await startPostgres()
  url = await server.newDatabase()
  beside = await connectTo(url)
  await beside.query(COLLATIONS)
})
test.after.always(async () => {
  await beside?.end()
  await server?.stop()
})

const connectorOf = (config: Partial<PostgresConfig> = {}) =>
  createPostgresConnector({ type: 'postgres', url, tables: ['x'], ...config })

async function onlyShard(): Promise<SourceShard> {
  const [shard] = await connectorOf().shards(testContext(), [])
  return shard!
}

/** A type that can be ordered, and texts that are values of it. */
type Domain = { readonly type: string; readonly value: fc.Arbitrary<string> }

const pick = (...values: string[]) => fc.constantFrom(...values)
const words = pick(
  'a',
  'A',
  'á',
  'ab',
  'a b',
  'a"b',
  'a,b',
  'a\nb',
  "a'b",
  '',
  ' ',
  '10',
  '9',
  'Z',
  'z',
  'ß',
  'ss',
  '🐎',
  '\\',
  '\\.',
)

const DOMAINS: readonly Domain[] = [
  { type: 'int', value: fc.integer({ min: -9, max: 9 }).map(String) },
  { type: 'bigint', value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String) },
  { type: 'numeric', value: pick('1', '1.0', '1.00', '-0.5', 'NaN', '1e40', '0') },
  { type: 'numeric(6,2)', value: pick('1', '1.01', '-3', 'NaN') },
  { type: 'float8', value: pick('0', '-0', 'NaN', 'Infinity', '0.1', '-1e300') },
  { type: 'text', value: words },
  { type: 'text COLLATE nocase', value: words },
  { type: 'text COLLATE natural_order', value: words },
  { type: 'text COLLATE "C"', value: words },
  { type: 'varchar(9)', value: words },
  { type: 'char(4)', value: pick('a', 'ab', 'ab ', 'B', '') },
  { type: 'citext', value: words },
  { type: 'uuid', value: fc.uuid() },
  {
    type: 'timestamptz',
    value: pick(
      '2024-01-01 00:00:00.000001',
      '2024-01-01',
      'infinity',
      '-infinity',
      '0044-03-15 BC',
    ),
  },
  { type: 'timestamp', value: pick('2024-01-01 00:00:00.000001', '2024-01-01', 'infinity') },
  { type: 'date', value: pick('2024-01-01', '2024-01-02', '-infinity', '0001-01-01 BC') },
  { type: 'bytea', value: pick('\\x00', '\\x', '\\xff', '\\x0a22') },
  { type: 'mood', value: pick('sad', 'ok', 'happy') },
  { type: 'inet', value: pick('10.0.0.1', '10.0.0.0/8', '::1') },
  { type: 'interval', value: pick('1 mon', '30 days', '720:00:00', '-1 day') },
  { type: 'boolean', value: pick('true', 'false') },
  { type: 'int4range', value: pick('empty', '[1,5)', '(,3)') },
]

const domain = fc.constantFrom(...DOMAINS)

type Table = { readonly types: readonly string[]; readonly rows: readonly (string | null)[][] }

/** Rows of the given columns; duplicates are left to the server's idea of equality. */
const tableOf = (columns: readonly Domain[], nullable: boolean): fc.Arbitrary<Table> =>
  fc
    .array(
      fc.tuple(...columns.map(({ value }) => (nullable ? fc.option(value, { freq: 4 }) : value))),
      { minLength: 0, maxLength: 60, size: 'max' },
    )
    .map((rows) => ({ types: columns.map(({ type }) => type), rows }))

const keyedTable = fc
  .array(domain, { minLength: 1, maxLength: 3 })
  .chain((list) => tableOf(list, false))
const valueTable = domain.chain((one) => tableOf([one], true))

/** Creates table x with columns k0… and a text, filled in an order of its own. */
async function create(table: Table, key: boolean): Promise<void> {
  const names = table.types.map((_, index) => `"K ${index}"`)
  const columns = names.map((name, index) => `${name} ${table.types[index]!}`)
  const primary = key ? `, PRIMARY KEY (${names.join(', ')})` : ''
  await beside.query(
    `DROP TABLE IF EXISTS x; CREATE TABLE x (note text, ${columns.join(', ')}${primary})`,
  )
  await insert(table)
}

async function insert(table: Table): Promise<void> {
  const places = table.types.map((type, index) => `$${index + 2}::text::${type.split(' ')[0]!}`)
  const sql = `INSERT INTO x VALUES ($1, ${places.join(', ')}) ON CONFLICT DO NOTHING`
  for (const [index, row] of table.rows.entries())
    await beside.query(sql, [`note\n"${index}"`, ...row])
}

const sorted = (rows: readonly TextRow[]) => rows.map((row) => JSON.stringify(row)).toSorted()

async function countRows(): Promise<number> {
  const { rows } = await beside.query<{ readonly n: number }>('SELECT count(*)::int AS n FROM x')
  return rows[0]!.n
}

/** Reads in small chunks; from each cursor exactly the rows behind it must follow. */
async function resumesExactly(
  t: { deepEqual: (a: unknown, b: unknown) => unknown },
  mode: ReadMode,
) {
  const connector = connectorOf()
  const shard = await onlyShard()
  const request = { mode, context: testContext({ chunkBytesMax: 60 }) }
  const whole = await readShardFully(connector, shard, request)
  t.deepEqual((await readShardFully(connector, shard, request)).rows, whole.rows)
  const step = Math.ceil(whole.cursors.length / 5)
  for (const [index, { cursor, rows }] of whole.cursors.entries()) {
    if (index % step !== 0 && index < whole.cursors.length - 1) continue
    const rest = await readShardFully(connector, shard, {
      ...request,
      cursor: JSON.parse(JSON.stringify(cursor)) as Json,
    })
    t.deepEqual(rest.rows, whole.rows.slice(rows))
  }
  return whole
}

test.serial(
  'a full load by any key resumes from each of its cursors with exactly the remaining rows',
  async (t) => {
    let resumed = 0
    await fc.assert(
      fc.asyncProperty(keyedTable, async (table) => {
        await create(table, true)
        const whole = await resumesExactly(t, { kind: 'full' })
        t.is(whole.rows.length, await countRows())
        resumed += whole.cursors.length - 1
      }),
      { numRuns: 25 },
    )
    t.log(`${resumed} cursors`)
    t.true(resumed > 40)
  },
)

test.serial(
  'an incremental read by any column, with and without a key, resumes exactly and misses no row',
  async (t) => {
    let marks = 0
    await fc.assert(
      fc.asyncProperty(valueTable, fc.boolean(), fc.boolean(), async (table, key, later) => {
        await create(table, false)
        if (key)
          await beside.query(
            'ALTER TABLE x ADD COLUMN id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
          )
        if (later) await beside.query('CREATE INDEX ON x ("K 0")')
        const mode = { kind: 'incremental', column: 'K 0', lag: undefined } as const
        const whole = await resumesExactly(t, mode)
        t.is(whole.rows.length, await countRows())
        const end = whole.cursors.at(-1)?.cursor ?? null
        const shard = await onlyShard()
        t.deepEqual((await readShardFully(connectorOf(), shard, { mode, cursor: end })).rows, [])
        marks += whole.cursors.length
      }),
      { numRuns: 35 },
    )
    t.log(`${marks} cursors`)
    t.true(marks > 100)
  },
)

test.serial(
  'ranges of any key hold each row exactly once, nulls and later rows outside all bounds too',
  async (t) => {
    let cuts = 0
    const twice = domain.chain((one) => fc.tuple(tableOf([one], true), tableOf([one], true)))
    await fc.assert(
      fc.asyncProperty(twice, fc.integer({ min: 1, max: 7 }), async ([first, later], ranges) => {
        await create(first, false)
        await beside.query('ANALYZE x')
        const connector = connectorOf({ shardBy: { kind: 'range', key: 'K 0', ranges } })
        const shards = await connector.shards(testContext(), [])
        t.true(shards.length <= ranges)
        t.is(new Set(shards.map((shard) => shard.id)).size, shards.length)
        cuts += shards.length - 1
        const readAll = async () => {
          const parts: TextRow[] = []
          for (const shard of shards) parts.push(...(await readShardFully(connector, shard)).rows)
          return sorted(parts)
        }
        const whole = async () =>
          sorted((await readShardFully(connectorOf(), await onlyShard())).rows)
        t.deepEqual(await readAll(), await whole())
        await insert(later)
        t.deepEqual(await connector.shards(testContext(), shards), shards)
        t.deepEqual(await readAll(), await whole())
      }),
      { numRuns: 25 },
    )
    t.log(`${cuts} cuts`)
    t.true(cuts > 10)
  },
)

test.serial('ranges of a big table are about equal, by sample and without one', async (t) => {
  await beside.query(`DROP TABLE IF EXISTS x;
    CREATE TABLE x AS SELECT (i * i) AS k, md5(i::text) AS h FROM generate_series(1, 30000) i; ANALYZE x`)
  for (const [key, sampleRows] of [
    ['k', 9000],
    ['h', 9000],
    ['k', 1e9],
  ] as const) {
    const config: PostgresConfig = {
      type: 'postgres',
      url,
      tables: ['x'],
      shardBy: { kind: 'range', key, ranges: 8 },
    }
    const connector = createPostgresConnector(config, { sampleRows })
    const shards = await connector.shards(testContext(), [])
    t.deepEqual(
      shards.map((shard) => shard.id),
      Array.from({ length: 8 }, (_, i) => `public.x/${key}/${i + 1}-of-8`),
    )
    for (const shard of shards) {
      const { rows } = await readShardFully(connector, shard)
      t.true(rows.length > 1500 && rows.length < 7500, `${shard.id}: ${rows.length}`)
    }
  }
})

test.serial(
  'other ways to cut: one shard a table, a changed cut gives new shards, an empty table one range',
  async (t) => {
    await beside.query('DROP TABLE IF EXISTS x; CREATE TABLE x (a int)')
    const plain = await connectorOf({ shardBy: { kind: 'table' } }).shards(testContext(), [])
    t.deepEqual(
      plain,
      await connectorOf({ shardBy: { kind: 'pipeline' } }).shards(testContext(), plain),
    )
    const ranged = connectorOf({
      perTable: { x: { shardBy: { kind: 'range', key: 'a', ranges: 4 } } },
    })
    const shards = await ranged.shards(testContext(), plain)
    t.deepEqual(
      shards.map((shard) => shard.id),
      ['public.x/a/1-of-1'],
    )
    await beside.query('INSERT INTO x SELECT generate_series(1, 100)')
    t.deepEqual(await ranged.shards(testContext(), shards), shards)
    await t.throwsAsync(
      connectorOf({ shardBy: { kind: 'named', name: 'repo' } }).shards(testContext(), []),
      {
        message: /cannot be cut by "repo"/,
      },
    )
    await t.throwsAsync(
      connectorOf({ shardBy: { kind: 'range', key: 'zz', ranges: 4 } }).shards(testContext(), []),
      {
        message: /public\.x cannot be cut into 4 ranges of "zz"/,
      },
    )
  },
)

test.serial(
  'updates, deletes and inserts between two halves of a load leave each key read exactly once',
  async (t) => {
    await beside.query(`DROP TABLE IF EXISTS x; CREATE TABLE x (id int PRIMARY KEY, v int);
    INSERT INTO x SELECT i * 2, 0 FROM generate_series(1, 2000) i`)
    const connector = connectorOf()
    const shard = await onlyShard()
    const context = testContext({ chunkBytesMax: 2000 })
    const first = await readShardFully(connector, shard, { context })
    const middle = first.cursors[Math.floor(first.cursors.length / 2)]!
    await beside.query(
      `UPDATE x SET v = 1; DELETE FROM x WHERE id % 100 = 0;
    INSERT INTO x SELECT i * 2 + 1, 2 FROM generate_series(1, 2000) i; VACUUM FULL x`.replace(
        '; VACUUM FULL x',
        '',
      ),
    )
    await beside.query('VACUUM FULL x')
    const second = await readShardFully(connector, shard, { context, cursor: middle.cursor })
    const ids = [...first.rows.slice(0, middle.rows), ...second.rows].map((row) => Number(row[0]))
    t.is(new Set(ids).size, ids.length)
    const kept = Array.from({ length: 2000 }, (_, i) => (i + 1) * 2).filter((id) => id % 100 !== 0)
    t.deepEqual(
      kept.filter((id) => !ids.includes(id)),
      [],
    )
  },
)

// ── Incremental ───────────────────────────────────────────────────────────────────────────────────

const byColumn = (
  column: string,
  lag?: { kind: 'hold-back' | 're-read'; amount: string },
): ReadMode => ({
  kind: 'incremental',
  column,
  lag,
})

async function idsAfter(mode: ReadMode, cursor: Parameters<typeof readShardFully>[2] = {}) {
  const read = await readShardFully(connectorOf(), await onlyShard(), { mode, ...cursor })
  return {
    ids: read.rows.map((row) => Number(row[0])),
    cursor: read.cursors.at(-1)?.cursor ?? null,
    read,
  }
}

test.serial(
  'rows with null or infinite cursor values are read once, by the first load',
  async (t) => {
    await beside.query(`DROP TABLE IF EXISTS x; CREATE TABLE x (id int PRIMARY KEY, at timestamptz);
    INSERT INTO x VALUES (1, '2024-01-01'), (2, NULL), (3, 'infinity'), (4, '-infinity'), (5, '2024-01-02')`)
    const first = await idsAfter(byColumn('at'))
    t.deepEqual(first.ids, [2, 3, 4, 1, 5])
    await beside.query(`INSERT INTO x VALUES (6, NULL), (7, 'infinity'), (8, '2024-01-03')`)
    t.deepEqual((await idsAfter(byColumn('at'), { cursor: first.cursor })).ids, [8])
  },
)

test.serial('rows that arrive while a read is open wait for the next one', async (t) => {
  await beside.query(`DROP TABLE IF EXISTS x; CREATE TABLE x (id int PRIMARY KEY, v bigint NOT NULL);
    INSERT INTO x SELECT i, i FROM generate_series(1, 20000) i`)
  const context = testContext({ chunkBytesMax: 1000 })
  const ids: number[] = []
  let cursor: Parameters<typeof openShard>[2] = {}
  for await (const event of openShard(connectorOf(), await onlyShard(), {
    mode: byColumn('v'),
    context,
  })) {
    if (event.kind !== 'rows') continue
    if (ids.length === 0)
      await beside.query('INSERT INTO x SELECT i, i FROM generate_series(20001, 20010) i')
    ids.push(
      ...Buffer.from(event.bytes)
        .toString()
        .trim()
        .split('\n')
        .map((row) => Number(row.split(',')[0])),
    )
    cursor = { cursor: event.cursor! }
  }
  t.is(ids.length, 20_000)
  const next = await idsAfter(byColumn('v'), cursor)
  t.deepEqual(next.ids, [20001, 20002, 20003, 20004, 20005, 20006, 20007, 20008, 20009, 20010])
})

test.serial(
  'hold-back leaves rows younger than the window, by the server clock or the largest number',
  async (t) => {
    await beside.query(`DROP TABLE IF EXISTS x; CREATE TABLE x (id int PRIMARY KEY, at timestamptz, local timestamp, day date, n int, m numeric);
    INSERT INTO x SELECT i, now() - i * interval '1 hour', now() AT TIME ZONE 'UTC' - i * interval '1 hour',
      ((now() AT TIME ZONE 'UTC')::date - i), 100 - i, 100 - i FROM generate_series(0, 9) i`)
    const held = (column: string, amount: string) =>
      idsAfter(byColumn(column, { kind: 'hold-back', amount }))
    t.deepEqual((await held('at', '150m')).ids, [9, 8, 7, 6, 5, 4, 3])
    t.deepEqual((await held('local', '150m')).ids, [9, 8, 7, 6, 5, 4, 3])
    t.deepEqual((await held('day', '48h')).ids, [9, 8, 7, 6, 5, 4, 3])
    t.deepEqual((await held('day', '0s')).ids, [9, 8, 7, 6, 5, 4, 3, 2, 1])
    t.deepEqual((await held('n', '3')).ids, [9, 8, 7, 6, 5, 4, 3])
    t.deepEqual((await held('m', '3')).ids, [9, 8, 7, 6, 5, 4, 3])
    const first = await held('n', '3')
    await beside.query('INSERT INTO x (id, n) VALUES (20, 101)')
    const mode = byColumn('n', { kind: 'hold-back', amount: '3' })
    t.deepEqual((await idsAfter(mode, { cursor: first.cursor })).ids, [2])
  },
)

test.serial(
  're-read starts a window before the cursor, and never moves the cursor back',
  async (t) => {
    await beside.query(`DROP TABLE IF EXISTS x; CREATE TABLE x (id int PRIMARY KEY, n int NOT NULL, at timestamp);
    INSERT INTO x SELECT i, i, timestamp '2024-01-01' + i * interval '1 hour' FROM generate_series(1, 100) i`)
    const mode = byColumn('n', { kind: 're-read', amount: '10' })
    const first = await idsAfter(mode)
    t.is(first.ids.length, 100)
    await beside.query('INSERT INTO x VALUES (201, 95, NULL), (202, 85, NULL), (203, 103, NULL)')
    const context = testContext({ chunkBytesMax: 30 })
    const second = await idsAfter(mode, { cursor: first.cursor, context })
    t.deepEqual(second.ids, [90, 91, 92, 93, 94, 95, 201, 96, 97, 98, 99, 100, 203])
    for (const { cursor, rows } of second.read.cursors) {
      if (rows <= 12) t.deepEqual(cursor, first.cursor)
    }
    const times = byColumn('at', { kind: 're-read', amount: '2h' })
    const timed = await idsAfter(times)
    t.deepEqual((await idsAfter(times, { cursor: timed.cursor })).ids, [98, 99, 100])
    const huge = byColumn('n', { kind: 're-read', amount: '99999999999999999999' })
    t.is((await idsAfter(huge, { cursor: first.cursor })).ids.length, 103)
  },
)

test.serial('a lag that does not suit its column is refused with what would', async (t) => {
  await beside.query(
    'DROP TABLE IF EXISTS x; CREATE TABLE x (id int PRIMARY KEY, at timestamptz, s text)',
  )
  const cases = [
    ['at', '10', 'duration'],
    ['id', '10m', 'whole number'],
    ['s', '10', 'Leave lag out'],
  ] as const
  for (const [column, amount, advice] of cases) {
    const error = await t.throwsAsync(idsAfter(byColumn(column, { kind: 'hold-back', amount })))
    t.like(error, { code: 'CONFIG_INVALID' })
    t.true(String((error as { suggestion?: string }).suggestion).includes(advice))
  }
})

test.serial('a range reads values in [from, to) and resumes inside it', async (t) => {
  await beside.query(`DROP TABLE IF EXISTS x; CREATE TABLE x (id int PRIMARY KEY, at timestamptz);
    INSERT INTO x SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' FROM generate_series(0, 99) i;
    INSERT INTO x VALUES (500, NULL), (501, 'infinity')`)
  const mode: ReadMode = { kind: 'range', column: 'at', from: '2024-01-02', to: '2024-01-03' }
  const whole = await resumesExactly(t, mode)
  t.deepEqual(
    whole.rows.map((row) => Number(row[0])),
    Array.from({ length: 24 }, (_, i) => i + 24),
  )
  const bad = await t.throwsAsync(idsAfter({ ...mode, to: 'someday' }))
  t.like(bad, { code: 'USAGE' })
})

test.serial(
  'without a key, a group of equal values is never cut, however small the chunks',
  async (t) => {
    await beside.query(
      `DROP TABLE IF EXISTS x; CREATE TABLE x AS SELECT i AS id, (i / 50) AS v FROM generate_series(0, 999) i`,
    )
    const context = testContext({ chunkBytesMax: 64 })
    const { read } = await idsAfter(byColumn('v'), { context })
    const marks = read.cursors.map(({ rows }) => rows)
    t.true(marks.every((rows) => rows % 50 === 0))
    t.is(marks.length, 20 + 1)
  },
)

/** Types with equal values that print differently, and some such values. */
const ALIKE: readonly (readonly [type: string, ...values: string[]])[] = [
  ['text COLLATE nocase', 'a', 'A', 'a', 'A'],
  ['citext', 'ab', 'AB', 'Ab', 'aB'],
  ['numeric', '1', '1.0', '1.00', '1'],
  ['float8', '0', '-0', '0', '-0'],
  ['interval', '1 mon', '30 days', '720:00:00', '1 mon'],
  ['jsonb', '1', '1.0', '1', '1.00'],
]

test.serial('without a key, equal values that print differently are not cut apart', async (t) => {
  for (const [type, ...values] of ALIKE) {
    await create({ types: [type], rows: [...values, ...values, ...values].map((v) => [v]) }, false)
    const whole = await resumesExactly(t, byColumn('K 0'))
    t.is(whole.rows.length, 12, type)
  }
})

test.serial('a key that a table gets later does not make its cursor useless', async (t) => {
  await beside.query(
    `DROP TABLE IF EXISTS x; CREATE TABLE x (id int, v int); INSERT INTO x VALUES (1, 1), (2, 2)`,
  )
  const first = await idsAfter(byColumn('v'))
  await beside.query('ALTER TABLE x ADD PRIMARY KEY (id); INSERT INTO x VALUES (3, 3)')
  t.deepEqual((await idsAfter(byColumn('v'), { cursor: first.cursor })).ids, [3])
})
