/** What each kind of write promises of its table, run by run, through the real command line. */
import test, { type ExecutionContext } from 'ava'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { duck } from '../support/delta-fixture.ts'
import { assertDelta } from '../support/delta-lint.ts'
import { openParquet } from '../support/delta-parquet.ts'
import { readCommit, readDelta } from '../support/delta-reader.ts'
import { startPostgres, type Postgres } from '../support/postgres.ts'
import { createProject, type Envelope, type Project } from '../support/project.ts'

let postgres: Postgres
test.before(async () => {
  postgres = await startPostgres()
})
test.after.always(() => postgres?.[Symbol.asyncDispose]())

type Shop = {
  readonly project: Project
  /** Changes the source. */
  sql(text: string): Promise<void>
  /** Runs the command line with --json, expects this exit code, and audits every table there is. */
  hakiri(code: number, ...args: readonly string[]): Promise<Envelope>
  /** Rows of an answer, each as text values. */
  ask(sql: string, ...args: readonly string[]): Promise<readonly (readonly unknown[])[]>
}

type Settings = { readonly pipeline: string; readonly files?: string; readonly setup: string }

async function openShop(t: ExecutionContext, { pipeline, files, setup }: Settings): Promise<Shop> {
  const project = await createProject(`version = 1
[catalog]
url = "sqlite:.hakiri/catalog.db"
[destination.lake]
type = "file"
url = "./lake"
${files === undefined ? '' : `[destination.lake.files]\n${files}`}
[pipelines.shop]
source = { type = "postgres", url = "env:SHOP", tables = ["public.*"] }
destination = "lake"
retries = { max = 0 }
${pipeline}
`)
  project.env['SHOP'] = await postgres.newDatabase()
  const client = new pg.Client(project.env['SHOP'])
  await client.connect()
  t.teardown(async () => {
    await client.end()
    await project[Symbol.asyncDispose]()
  })
  await client.query(setup)
  const hakiri = async (code: number, ...args: readonly string[]): Promise<Envelope> => {
    const ran = await project.json(...args)
    t.is(ran.code, code, ran.stdout + ran.stderr)
    for (const name of await tablesOf(project)) await assertDelta(project.table(name))
    return ran.envelope
  }
  return {
    project,
    hakiri,
    sql: async (text) => void (await client.query(text)),
    ask: async (text, ...args) => {
      const { result } = await hakiri(0, 'query', text, ...args)
      return (result as { readonly rows: readonly (readonly unknown[])[] }).rows
    },
  }
}

/** Every folder of the lake with a log. */
async function tablesOf({ folder }: Project): Promise<readonly string[]> {
  const names = await readdir(join(folder, 'lake'), { recursive: true }).catch(() => [])
  return names
    .filter((name) => name.endsWith('/_delta_log'))
    .map((name) => name.slice(0, -'/_delta_log'.length).replaceAll('/', '.'))
}

type Rows = readonly Record<string, unknown>[]

/** All rows as the independent reader sees them, by id. */
async function rowsOf(shop: Shop, table: string, version?: number): Promise<Rows> {
  const read = await readDelta(shop.project.table(table), version === undefined ? {} : { version })
  const rows: Record<string, unknown>[] = []
  for await (const row of read.rows()) rows.push(row)
  return rows.toSorted((a, b) => Number(a['id']) - Number(b['id']))
}

const ids = (rows: Rows): readonly number[] => rows.map((row) => Number(row['id']))

async function versionOf(shop: Shop, table: string): Promise<number> {
  return (await readDelta(shop.project.table(table))).version
}

type RunResult = readonly {
  readonly status: string
  readonly warnings: readonly string[]
  readonly counters: { readonly rowsRead: number; readonly rowsQuarantined: number }
  readonly failures: readonly { readonly code: string; readonly message: string }[]
}[]

const runOf = (envelope: Envelope) => (envelope.result as RunResult)[0]!

// ── Upsert ──────────────────────────────────────────────────────────────────────────────────────────

const ITEMS = `create table items (shop int, id int, note text, nr bigserial, primary key (shop, id));`

test('upsert shows the newest row of each key, and compaction keeps no other', async (t) => {
  const shop = await openShop(t, {
    pipeline: 'mode = "incremental"\nwrite = { mode = "upsert", cursor = "nr" }',
    files: 'compact = { min_files = 3, retain = "1s" }',
    setup: `${ITEMS} insert into items select n % 2, n, 'first' from generate_series(1, 20) n`,
  })
  const touch = `update items set note = note || '+', nr = nextval('items_nr_seq')`
  const newest = 'select shop, id, note from items order by id'
  await shop.hakiri(0, 'run')
  await shop.sql(`${touch} where id <= 5`)
  await shop.hakiri(0, 'run')
  t.is((await rowsOf(shop, 'shop.items')).length, 25, 'both versions lie in the files')
  t.deepEqual(
    (await shop.ask(newest)).map(([, id, note]) => [Number(id), note]),
    Array.from({ length: 20 }, (_, at) => [at + 1, at < 5 ? 'first+' : 'first']),
  )
  await shop.sql(`${touch} where id <= 3; insert into items values (9, 1, 'other shop')`)
  await shop.hakiri(0, 'run')
  const compacted = await rowsOf(shop, 'shop.items')
  t.is(compacted.length, 21, 'the run compacted three files, and superseded rows are gone')
  const [first] = await shop.ask('select note from items where shop = 1 and id = 1')
  t.deepEqual(first, ['first++'])
  t.is((await shop.ask(newest)).length, 21)
  const version = await versionOf(shop, 'shop.items')
  const actions = await readCommit(shop.project.table('shop.items'), version)
  const files = actions.flatMap((action) =>
    action.kind === 'add' || action.kind === 'remove' ? [action] : [],
  )
  t.deepEqual(
    files.map(({ kind, value }) => [kind, value.dataChange]),
    [
      ['remove', false],
      ['remove', false],
      ['remove', false],
      ['add', false],
    ],
  )
  t.is((await rowsOf(shop, 'shop.items', version - 1)).length, 29, 'earlier versions stay readable')
})

test('a backfill merges a range again, a full refresh and a rebuilt catalog lose and double nothing', async (t) => {
  const shop = await openShop(t, {
    pipeline: 'mode = "incremental"\nwrite = { mode = "upsert", cursor = "nr" }',
    files: 'compact = { min_files = 2, retain = "1s" }',
    setup: `${ITEMS} insert into items select 1, n, 'old' from generate_series(1, 10) n`,
  })
  const notes = async () =>
    (await shop.ask('select id, note from items order by id')).map(([, note]) => note)
  await shop.hakiri(0, 'run')
  // Changed behind the cursor: only a backfill of that range, or a full refresh, can see it.
  await shop.sql(`update items set note = 'mended'`)
  t.is(runOf(await shop.hakiri(0, 'run')).counters.rowsRead, 0)
  t.is(
    runOf(await shop.hakiri(0, 'backfill', 'shop', '--from', '3', '--to', '6')).counters.rowsRead,
    3,
  )
  t.deepEqual(await notes(), [
    'old',
    'old',
    'mended',
    'mended',
    'mended',
    ...Array<string>(5).fill('old'),
  ])
  await rm(join(shop.project.folder, '.hakiri'), { recursive: true })
  await shop.hakiri(0, 'catalog', 'rebuild', '--from-bucket')
  t.is(runOf(await shop.hakiri(0, 'run')).counters.rowsRead, 0)
  await shop.sql(`update items set note = 'after', nr = nextval('items_nr_seq') where id = 4`)
  t.is(runOf(await shop.hakiri(0, 'run')).counters.rowsRead, 1)
  t.is((await notes())[3], 'after', 'runs after a rebuild win over those before it')
  await shop.hakiri(0, 'run', '--full-refresh')
  t.deepEqual(
    await notes(),
    Array.from({ length: 10 }, (_, at) => (at === 3 ? 'after' : 'mended')),
  )
})

// ── Replace and full refresh ────────────────────────────────────────────────────────────────────────

test('an interrupted full refresh of an append table goes on and doubles no row', async (t) => {
  const shop = await openShop(t, {
    pipeline: `mode = "incremental"\nshard_by = { key = "id", ranges = 3 }
write = { mode = "append", cursor = "nr" }`,
    setup: `create table items (id int primary key, nr bigserial, note text);
      insert into items (id, note) select n, 'a' from generate_series(1, 90) n`,
  })
  await shop.hakiri(0, 'run')
  const shards = (await shop.hakiri(0, 'state', 'get')).result as readonly { shard: string }[]
  t.is(shards.length, 3)
  const before = await versionOf(shop, 'shop.items')
  await shop.sql(`update items set note = 'b'`)
  await shop.hakiri(0, 'run', '--full-refresh', '--shard', shards[0]!.shard)
  t.is(await versionOf(shop, 'shop.items'), before, 'a third of the load shows nothing')
  t.true((await rowsOf(shop, 'shop.items')).every((row) => row['note'] === 'a'))
  await shop.sql(`insert into items (id, note) values (91, 'b'), (-1, 'b')`)
  await shop.hakiri(0, 'run')
  const rows = await rowsOf(shop, 'shop.items')
  t.deepEqual(ids(rows), [-1, ...Array.from({ length: 91 }, (_, at) => at + 1)])
  t.true(rows.every((row) => row['note'] === 'b'))
  t.is(await versionOf(shop, 'shop.items'), before + 1, 'one version swaps all')
  // The lost catalog gives back the bounds of the ranges, so no row changes its shard.
  const state = async () =>
    ((await shop.hakiri(0, 'state', 'get')).result as readonly Record<string, unknown>[]).map(
      ({ shard, cursor }) => [shard, cursor],
    )
  const known = await state()
  await rm(join(shop.project.folder, '.hakiri'), { recursive: true })
  await shop.hakiri(0, 'catalog', 'rebuild', '--from-bucket')
  t.deepEqual(await state(), known)
  await shop.sql(`insert into items (id, note) select n, 'c' from generate_series(100, 200) n`)
  t.is(runOf(await shop.hakiri(0, 'run')).counters.rowsRead, 101)
  t.deepEqual(
    await state().then((all) => all.map(([shard]) => shard)),
    known.map(([shard]) => shard),
  )
  t.is(new Set(ids(await rowsOf(shop, 'shop.items'))).size, 193)
})

// ── Partitions and schema ───────────────────────────────────────────────────────────────────────────

test('partitions by day and by value hold nulls, and questions about them see only their rows', async (t) => {
  const shop = await openShop(t, {
    pipeline: `mode = "incremental"\nwrite = { mode = "append", cursor = "id" }
partition_by = ["day(at)", "region"]`,
    setup: `create table visits (id int primary key, at timestamptz, region text);
      insert into visits values (1, '2024-05-01T23:59:59Z', 'north'), (2, '2024-05-02T00:00:00Z', 'north'),
        (3, '2024-05-02T12:00:00Z', null), (4, null, 'süd/ost')`,
  })
  await shop.hakiri(0, 'run')
  const { metadata, files } = await readDelta(shop.project.table('shop.visits'))
  t.deepEqual(metadata.partitionColumns, ['at_day', 'region'])
  t.is(files.length, 4)
  t.deepEqual(await shop.ask('select id, at_day, region from visits order by id'), [
    [1, '2024-05-01', 'north'],
    [2, '2024-05-02', 'north'],
    [3, '2024-05-02', null],
    [4, null, 'süd/ost'],
  ])
  const [counts] = await shop.ask(
    `select count(*) filter (at_day = '2024-05-02'), count(*) filter (region is null) from visits`,
  )
  t.deepEqual(counts?.map(Number), [2, 1])
})

const LOG = `create table log (id int primary key, size int); insert into log values (1, 10), (2, 20);`
const APPEND = 'mode = "incremental"\nwrite = { mode = "append", cursor = "id" }'

test('a source that changes its columns over runs keeps old files readable and every value', async (t) => {
  const shop = await openShop(t, { pipeline: APPEND, setup: LOG })
  await shop.hakiri(0, 'run')
  await shop.sql(`alter table log add column city text; insert into log values (3, 30, 'Graz')`)
  await shop.hakiri(0, 'run')
  await shop.sql(
    `alter table log alter column size type text; insert into log values (4, 'huge'), (5, '50')`,
  )
  await shop.hakiri(0, 'run')
  await shop.sql(`alter table log drop column city; insert into log values (6, '60')`)
  await shop.hakiri(0, 'run')
  const rows = await rowsOf(shop, 'shop.log')
  t.deepEqual(
    rows.map(({ id, size, city, size__string: kept }) => [id, size, city, kept]),
    [
      [1, 10, null, null],
      [2, 20, null, null],
      [3, 30, 'Graz', null],
      [4, null, null, 'huge'],
      [5, 50, null, null],
      [6, 60, null, null],
    ],
  )
  t.deepEqual(
    await shop.ask('select id, size, city, size__string from log order by id'),
    rows.map(({ id, size, city, size__string: kept }) => [id, size, city, kept]),
  )
  t.deepEqual(ids(await rowsOf(shop, 'shop.log', 0)), [1, 2], 'as of the first version')
})

test('a column under "ask" sends its rows to quarantine until it is approved, and away once denied', async (t) => {
  const shop = await openShop(t, {
    pipeline: `${APPEND}\nschema = { columns = "ask", tables = "ask" }
quarantine = { max_rows = 100, max_ratio = 1.0 }`,
    setup: LOG,
  })
  await shop.hakiri(0, 'run')
  await shop.sql(`alter table log add column city text; alter table log add column note text;
    insert into log values (3, 30, 'Graz', null), (4, 40, null, 'n'), (5, 50, null, null);
    create table late (id int primary key); insert into late values (1)`)
  const asked = runOf(await shop.hakiri(0, 'run'))
  t.is(asked.counters.rowsQuarantined, 2)
  t.regex(asked.warnings.join(), /new source table public\.late was left out/)
  t.deepEqual(ids(await rowsOf(shop, 'shop.log')), [1, 2, 5])
  const rejected = await rowsOf(shop, '_quarantine.shop.log')
  t.deepEqual(
    rejected.map(({ raw, reason }) => [String(raw).split(',')[0], String(reason).split(';')[0]]),
    [
      ['3', 'column city is not in the table'],
      ['4', 'column note is not in the table'],
    ],
  )
  const { decisions } = (await shop.hakiri(0, 'schema')).result as {
    readonly decisions: readonly { id: number; change: { kind: string; column?: string } }[]
  }
  const idOf = (name: string) =>
    String(decisions.find(({ change }) => (change.column ?? change.kind) === name)?.id)
  t.is(decisions.length, 3)
  await shop.hakiri(0, 'schema', 'approve', idOf('city'))
  await shop.hakiri(0, 'schema', 'approve', idOf('add-table'))
  await shop.hakiri(0, 'schema', 'deny', idOf('note'))
  await shop.sql(`insert into log values (6, 60, 'Porto', 'x')`)
  t.is(runOf(await shop.hakiri(0, 'run')).counters.rowsQuarantined, 0)
  const last = (await rowsOf(shop, 'shop.log')).at(-1)
  t.deepEqual(
    [last?.['id'], last?.['city'], Object.hasOwn(last ?? {}, 'note')],
    [6, 'Porto', false],
  )
  t.deepEqual(ids(await rowsOf(shop, 'shop.late')), [1])
})

test('a new source table becomes one under evolve and refuses the run under freeze', async (t) => {
  const shop = await openShop(t, { pipeline: APPEND, setup: LOG })
  await shop.hakiri(0, 'run')
  await shop.sql('create table late (id int primary key); insert into late values (7)')
  await shop.hakiri(0, 'run')
  t.deepEqual(ids(await rowsOf(shop, 'shop.late')), [7])

  const frozen = await openShop(t, {
    pipeline: `${APPEND}\nschema = { tables = "freeze" }`,
    setup: LOG,
  })
  await frozen.hakiri(0, 'run')
  await frozen.sql('create table late (id int primary key); insert into log values (3, 30)')
  t.is((await frozen.hakiri(1, 'run')).error?.code, 'SCHEMA_FROZEN')
  t.deepEqual(ids(await rowsOf(frozen, 'shop.log')), [1, 2])
})

// ── Upkeep ──────────────────────────────────────────────────────────────────────────────────────────

test('many small runs become one file, old versions stay until vacuum, and orphans are collected', async (t) => {
  const shop = await openShop(t, {
    pipeline: APPEND,
    files: 'compact = { min_files = 4, retain = "1h" }',
    setup: LOG,
  })
  const times: number[] = []
  for (const id of [3, 4, 5, 6]) {
    await shop.hakiri(0, 'run')
    times.push(Date.now())
    await shop.sql(`insert into log values (${id}, 0)`)
  }
  const table = shop.project.table('shop.log')
  t.is((await readDelta(table)).files.length, 1)
  const [atSecond] = await shop.ask(
    'select count(*) from log',
    '--at',
    new Date(times[1]!).toISOString(),
  )
  t.is(Number(atSecond?.[0]), 3)
  const [atFirst] = await shop.ask('select count(*) from log', '--at', '0')
  t.is(Number(atFirst?.[0]), 2)

  const toml = await readFile(join(shop.project.folder, 'hakiri.toml'), 'utf8')
  await shop.project.write('hakiri.toml', toml.replace('retain = "1h"', 'retain = "0s"'))
  await shop.project.write('lake/shop/log/run9-orphan-1-0-feed.parquet', 'nobody names this')
  t.is((await assertDelta(table)).orphans.length, 1)
  await shop.hakiri(0, 'tables', 'vacuum', '--grace', '0s')
  t.deepEqual((await assertDelta(table)).orphans, [])
  const left = (await readdir(join(shop.project.folder, 'lake/shop/log'))).filter((name) =>
    name.endsWith('.parquet'),
  )
  t.is(left.length, 1, 'compacted files are gone')
  t.deepEqual(ids(await rowsOf(shop, 'shop.log')), [1, 2, 3, 4, 5])
})

// Four loads of 35 000 rows make one file of somewhat over 122 880 rows and the rest. Some values are in
// one of its row groups only, so that bounds or counts taken from the other alone would show.
const MANY = 140_000
const MANY_TABLE = `create table many (id int primary key, amount numeric(12,2), late text, ratio float8,
  nr bigserial);`
const manyRows = (from: number): string => `
insert into many select n, n / 4.0, case when n > 130000 then 'row ' || n end,
  case when n = 135000 then 'NaN'::float8 else -n end from generate_series(${from + 1}, ${from + MANY / 4}) n;`

for (const mode of ['append', 'upsert'])
  test(`an ${mode} table compacted into several row groups has every row, whoever reads it`, async (t) => {
    const shop = await openShop(t, {
      pipeline: `mode = "incremental"\nwrite = { mode = "${mode}", cursor = "nr" }`,
      files: 'compact = { min_files = 100, retain = "1h" }',
      setup: MANY_TABLE + manyRows(0),
    })
    await shop.hakiri(0, 'run')
    const touch = `update many set amount = amount + 1, nr = nextval('many_nr_seq') where id <= 1000;`
    for (const from of [1, 2, 3].map((load) => (load * MANY) / 4)) {
      await shop.sql((mode === 'upsert' ? touch : '') + manyRows(from))
      await shop.hakiri(0, 'run')
    }
    await shop.hakiri(0, 'tables', 'compact')
    const { files } = await readDelta(shop.project.table('shop.many'))
    t.is(files.length, 1)
    const file = join(shop.project.folder, 'lake/shop/many', files[0]!.path)
    const groups = (await openParquet(await readFile(file))).metadata.row_groups
    t.is(groups.length, 2)
    const cut = Number(groups[0]?.num_rows)

    const cents = (25 * MANY * (MANY + 1)) / 2 + (mode === 'upsert' ? 3 * 1000 * 100 : 0)
    const expected = [MANY, MANY, (MANY * (MANY + 1)) / 2, cents, 10_000]
    t.deepEqual(tally(await rowsOf(shop, 'shop.many')), expected, 'the independent reader')
    const sums = `select count(*), count(distinct id), sum(id), sum(amount) * 100, count(late)`
    const engine = await duck()
    const bare = await engine.runAndReadAll(`${sums} from read_parquet('${file}')`)
    t.deepEqual(bare.getRows()[0]?.map(Number), expected, 'the engine over the file')
    const [seen] = await shop.ask(`${sums} from many`)
    t.deepEqual(seen?.map(Number), expected, 'hakiri query')
    // Readers leave out row groups by their bounds: each row is found by its own values.
    const places = [1, 70_000, cut, cut + 1, MANY].map((id) => `id = ${id}`)
    for (const where of [...places, `late = 'row 130001'`, 'isnan(ratio)', `ratio = ${-MANY}`]) {
      const [found] = await shop.ask(`select count(*) from many where ${where}`)
      t.is(Number(found?.[0]), 1, where)
    }
  })

/** Rows, different ids, sum of the ids, of the amounts in cents, and rows with a late text. */
function tally(rows: Rows): readonly number[] {
  const cents = (amount: unknown): number => Number(String(amount).replace('.', ''))
  const sum = (of: (row: Rows[number]) => number): number =>
    rows.reduce((total, row) => total + of(row), 0)
  const late = rows.filter((row) => row['late'] !== null)
  return [
    rows.length,
    new Set(ids(rows)).size,
    sum((row) => Number(row['id'])),
    sum((row) => cents(row['amount'])),
    late.length,
  ]
}
