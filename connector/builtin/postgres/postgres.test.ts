/** The connector against a real server: what it finds, how it reads, how it fails, what it leaves behind. */
import test from 'ava'
import type { Connector, ConnectorContext, SourceEvent } from '../../connector.ts'
import { HakiriError, type Code } from '../../../lib/error.ts'
import { systemRandom } from '../../../lib/system/clock.ts'
import {
  connectTo,
  NO_SESSIONS,
  openShard,
  readShardFully,
  testContext,
  waitFor,
} from '../../../test/support/postgres-source.ts'
import { startPostgres, type Postgres } from '../../../test/support/postgres.ts'
import type { PostgresConfig, PostgresOptions } from './config.ts'
import { createPostgresConnector } from './postgres.ts'

let server: Postgres

test.before(async () => {
  server = await startPostgres()
})
test.after.always(async () => {
  await server?.stop()
})

type Source = AsyncDisposable & {
  readonly url: string
  readonly beside: Awaited<ReturnType<typeof connectTo>>
  connector(config?: Partial<PostgresConfig>, options?: Partial<PostgresOptions>): Connector
}

/** A database of its own, prepared by `sql`. */
async function source(sql: string): Promise<Source> {
  const url = await server.newDatabase()
  const beside = await connectTo(url)
  await beside.query(sql)
  return {
    url,
    beside,
    connector: (config, options) =>
      createPostgresConnector({ type: 'postgres', url, tables: ['*.*'], ...config }, options),
    [Symbol.asyncDispose]: () => beside.end(),
  }
}

/** A name that no other run on the same server uses. */
function oddName(start: string): string {
  return `${start}_${systemRandom.uuid().slice(0, 8)}`
}

async function execute(sql: string): Promise<void> {
  await using admin = await connectTo(server.url)
  await admin.query(sql)
}

async function shardOf(connector: Connector, table?: string) {
  const shards = await connector.shards(testContext(), [])
  const found = table === undefined ? shards[0] : shards.find((shard) => shard.table === table)
  if (!found) throw new Error(`no shard of ${table}`)
  return found
}

async function failure(work: Promise<unknown>): Promise<HakiriError> {
  try {
    await work
  } catch (error) {
    if (error instanceof HakiriError) return error
    throw error
  }
  throw new Error('nothing failed')
}

/** Takes the first `rows` event and leaves the reading open. */
async function firstRows(events: AsyncIterator<SourceEvent>): Promise<SourceEvent> {
  for (;;) {
    const next = await events.next()
    if (next.done) throw new Error('no rows')
    if (next.value.kind === 'rows') return next.value
  }
}

// ── What it finds ─────────────────────────────────────────────────────────────────────────────────

test('describe lists tables, views, materialised and partitioned tables by pattern', async (t) => {
  await using db = await source(`
    CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    CREATE VIEW recent AS SELECT * FROM orders;
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders;
    CREATE TABLE parts (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE tmp_x (a int); CREATE SCHEMA other; CREATE TABLE other.orders (a int);
    CREATE EXTENSION pg_stat_statements`)
  const names = async (...tables: string[]) =>
    (await db.connector({ tables }).describe(testContext())).map((table) => table.name)
  t.deepEqual(await names('public.*', '!public.tmp_*'), [
    'public.orders',
    'public.parts',
    'public.recent',
    'public.totals',
  ])
  t.deepEqual(await names('*.orders'), ['other.orders', 'public.orders'])
  t.deepEqual(await names('orders'), ['public.orders'])
  t.deepEqual(await names('!t*'), ['public.orders', 'public.parts', 'public.recent'])
  t.deepEqual(await names('parts_2024'), ['public.parts_2024'])
})

test('columns come in order, without dropped ones, with generated and identity ones', async (t) => {
  await using db = await source(`
    CREATE TABLE c (gone int, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, gone2 text,
      b int GENERATED ALWAYS AS (a * 2) STORED, secret text);
    ALTER TABLE c DROP COLUMN gone, DROP COLUMN gone2;
    INSERT INTO c (a, secret) VALUES (21, 'x')`)
  const connector = db.connector({ perTable: { c: { exclude: ['secret'] } } })
  const [table] = await connector.describe(testContext())
  t.deepEqual(table, {
    name: 'public.c',
    columns: [
      { name: 'id', sourceType: 'integer', type: 'integer' },
      { name: 'a', sourceType: 'integer', type: 'integer' },
      { name: 'b', sourceType: 'integer', type: 'integer' },
    ],
    key: ['id'],
    rowsEstimate: table!.rowsEstimate,
  })
  t.deepEqual((await readShardFully(connector, await shardOf(connector))).rows, [['1', '21', '42']])
})

test('the key is the primary key, else a unique index that no null and no duplicate can slip through', async (t) => {
  await using db = await source(`
    CREATE TABLE pk (b int, a int, u int NOT NULL UNIQUE, PRIMARY KEY (a, b));
    CREATE TABLE uq (a int NOT NULL, b int NOT NULL, c int NOT NULL UNIQUE, UNIQUE (a, b));
    CREATE TABLE nullable (a int UNIQUE);
    CREATE TABLE partial (a int NOT NULL); CREATE UNIQUE INDEX ON partial (a) WHERE a > 0;
    CREATE TABLE expression (a int NOT NULL); CREATE UNIQUE INDEX ON expression (abs(a));
    CREATE TABLE listed (a int[] PRIMARY KEY);
    CREATE TABLE parent (a int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
    CREATE TABLE included (a int NOT NULL, b int); CREATE UNIQUE INDEX ON included (a) INCLUDE (b);
    CREATE TABLE none (a int)`)
  const tables = await db.connector().describe(testContext())
  const keys = Object.fromEntries(tables.map((table) => [table.name.slice(7), table.key]))
  t.deepEqual(keys, {
    pk: ['a', 'b'],
    uq: ['c'],
    nullable: [],
    partial: [],
    expression: [],
    listed: [],
    parent: ['a'],
    child: [],
    included: ['a'],
    none: [],
  })
  const chosen = db.connector({ perTable: { none: { key: ['a'] }, pk: { exclude: ['a'] } } })
  const again = await chosen.describe(testContext())
  t.deepEqual(again.find((table) => table.name === 'public.none')!.key, ['a'])
  t.deepEqual(again.find((table) => table.name === 'public.pk')!.key, ['u'])
})

test('estimates follow the table between two ANALYZEs, and are absent when nothing is known', async (t) => {
  await using db = await source(`
    CREATE TABLE grown (a int) WITH (autovacuum_enabled = off);
    INSERT INTO grown SELECT generate_series(1, 20000); ANALYZE grown;
    INSERT INTO grown SELECT generate_series(1, 20000);
    CREATE TABLE fresh (a int) WITH (autovacuum_enabled = off); CREATE TABLE unknown (a int)
      WITH (autovacuum_enabled = off); INSERT INTO unknown VALUES (1);
    CREATE TABLE p (a int) PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p DEFAULT;
    INSERT INTO p SELECT i % 2 FROM generate_series(1, 1000) i; ANALYZE p, p1, p2;
    CREATE VIEW v AS SELECT 1 AS a`)
  const tables = await db.connector().describe(testContext())
  const estimates = new Map(tables.map((table) => [table.name, table.rowsEstimate]))
  t.true(Math.abs(estimates.get('public.grown')! - 40_000) < 500)
  t.is(estimates.get('public.fresh'), 0)
  t.is(estimates.get('public.unknown'), undefined)
  t.is(estimates.get('public.p'), 1000)
  t.is(estimates.get('public.v'), undefined)
})

const ODD_NAMES = [
  'a "quoted" name',
  'with.dot',
  'Ünïcode 🐎',
  "it's",
  'UPPER',
  'new\nline',
  '*',
  'a%b',
  'to_json',
  's',
]

test('tables and columns of any name are read, and each has its own shard id', async (t) => {
  await using db = await source('CREATE SCHEMA "odd.Schema"')
  const quote = (name: string) => `"${name.replaceAll('"', '""')}"`
  for (const [index, name] of ODD_NAMES.entries()) {
    const table = `"odd.Schema".${quote(name)}`
    await db.beside.query(
      `CREATE TABLE ${table} (${quote(name)} int PRIMARY KEY, "to_json " text[], "," text);
       INSERT INTO ${table} VALUES (${index}, '{a}', 'x'), (${index + 100}, NULL, NULL)`,
    )
  }
  const connector = db.connector({ tables: ['"odd.Schema".*'] })
  const shards = await connector.shards(testContext(), [])
  t.is(new Set(shards.map((shard) => shard.id)).size, ODD_NAMES.length)
  for (const shard of shards) {
    t.regex(shard.id, /^[A-Za-z0-9._:=/-]+$/)
    const read = await readShardFully(connector, shard)
    const index = ODD_NAMES.indexOf(read.columns[0]!.name)
    t.deepEqual(read.rows, [
      [`${index}`, '["a"]', 'x'],
      [`${index + 100}`, null, null],
    ])
    const { cursor } = read.cursors[0]!
    t.deepEqual((await readShardFully(connector, shard, { cursor })).rows, [])
  }
})

test('a table named in full that is not there is an error that names what may have been meant', async (t) => {
  await using db = await source('CREATE SCHEMA sales; CREATE TABLE sales."Orders" (a int)')
  const connector = db.connector({ tables: ['sales.*', 'public.orders'] })
  const error = await failure(connector.describe(testContext()))
  t.is(error.code, 'CONFIG_INVALID')
  t.is(error.suggestion, 'Did you mean sales.Orders?')
  const findings = await connector.check(testContext())
  t.true(
    findings.some(
      (f) => f.severity === 'error' && f.message === '"public.orders" matches no table',
    ),
  )
})

test('a wildcard that matches nothing is a warning, unless nothing at all is selected', async (t) => {
  await using db = await source('CREATE TABLE a (x int)')
  const context = testContext()
  const connector = db.connector({ tables: ['a', 'audit.*', '!public.tmp_*'] })
  t.is((await connector.describe(context)).length, 1)
  t.deepEqual(context.logs, [
    'warn source.tables: "audit.*" matches no table',
    'warn source.tables: "!public.tmp_*" matches no table',
  ])
  const none = await failure(db.connector({ tables: ['audit.*'] }).describe(testContext()))
  t.is(none.code, 'CONFIG_INVALID')
})

test('a table without columns is left out by a wildcard and refused by a read', async (t) => {
  await using db = await source('CREATE TABLE nothing (); CREATE TABLE a (x int)')
  const context = testContext()
  t.deepEqual(
    (await db.connector().describe(context)).map((table) => table.name),
    ['public.a'],
  )
  t.deepEqual(context.logs, ['warn public.nothing has no column to read; left out'])
  const findings = await db.connector().check(testContext())
  t.true(findings.some((f) => f.severity === 'error' && f.message.includes('no column')))
  const excluded = db.connector({ perTable: { a: { exclude: ['x'] } } })
  const shard = {
    id: 'x',
    table: 'public.a',
    spec: { schema: 'public', name: 'a' },
    rowsEstimate: 0,
  }
  t.is((await failure(readShardFully(excluded, shard))).code, 'SCHEMA_INVALID')
})

test('check tells of keys, row security, inheritance, options of no use and rows without a place', async (t) => {
  await using db = await source(`
    CREATE TABLE nokey (a int); CREATE TABLE parent (a int PRIMARY KEY);
    CREATE TABLE kid () INHERITS (parent);
    CREATE TABLE timed (id int PRIMARY KEY, at timestamptz);
    INSERT INTO timed VALUES (1, NULL), (2, 'infinity'), (3, now())`)
  const findings = await db
    .connector({ perTable: { timed: { cursor: 'at', exclude: ['nope'] }, missing: {} } })
    .check(testContext())
  t.deepEqual(
    findings.map(({ severity, message }) => `${severity} ${message.replace(/.*: P/, 'P')}`),
    [
      `ok ${findings[0]!.message.replace(/.*: P/, 'P')}`,
      'warn options of "missing": no such table is selected',
      'warn public.kid has no usable key: a load that is interrupted starts again',
      'warn public.nokey has no usable key: a load that is interrupted starts again',
      'warn public.parent: rows of tables that inherit from it are read with those tables',
      'warn public.timed: there is no column "nope" to exclude',
      'warn public.timed: 2 rows have no place in the order of "at" (null, infinite or NaN)',
    ],
  )
})

// ── How it reads ──────────────────────────────────────────────────────────────────────────────────

test('text with newlines, quotes, commas, backslashes and a 10 MB cell arrives whole', async (t) => {
  await using db = await source('CREATE TABLE x (id int PRIMARY KEY, body text)')
  const big = `"${'z,\n'.repeat(3_400_000)}`
  const bodies = [
    '',
    '\n',
    '"',
    '""',
    ',',
    String.raw`\.`,
    'NULL',
    String.raw`\N`,
    big,
    'é\u2028🐎',
    ' ',
  ]
  for (const [id, body] of bodies.entries()) {
    await db.beside.query('INSERT INTO x VALUES ($1, $2)', [id, body])
  }
  const connector = db.connector()
  const { rows, events } = await readShardFully(connector, await shardOf(connector))
  t.true(big.length > 10e6)
  t.is(rows.length, bodies.length)
  for (const [id, body] of bodies.entries()) t.true(rows[id]![1] === body, `body ${id}`)
  const sizes = events.map((event) => (event.kind === 'rows' ? event.bytes.length : 0))
  t.true(sizes.filter((size) => size > 2 ** 20).length === 1)
})

test('a row over the limit is refused as data, by name and size', async (t) => {
  await using db = await source(
    `CREATE TABLE x (id int PRIMARY KEY, body text); INSERT INTO x VALUES (1, repeat('y', 5000))`,
  )
  const connector = db.connector({}, { rowBytesMax: 4000 })
  const error = await failure(readShardFully(connector, await shardOf(connector)))
  t.is(error.code, 'SOURCE_DATA')
  t.regex(error.message, /public\.x: a row of 5003 bytes/)
})

test('chunks stay within the limit that the host sets, whatever its size', async (t) => {
  await using db = await source(
    `CREATE TABLE x AS SELECT i AS id, repeat('y', i % 50) AS body FROM generate_series(1, 5000) i;
     ALTER TABLE x ADD PRIMARY KEY (id)`,
  )
  const connector = db.connector()
  const shard = await shardOf(connector)
  const whole = (await readShardFully(connector, shard)).rows
  t.is(whole.length, 5000)
  for (const chunkBytesMax of [1, 60, 1000, 65_536]) {
    const context = testContext({ chunkBytesMax })
    const read = await readShardFully(connector, shard, { context })
    t.deepEqual(read.rows, whole)
    for (const event of read.events) {
      if (event.kind === 'rows') t.true(event.bytes.length <= chunkBytesMax || event.rows === 1)
    }
  }
})

test('a plain table is read without the rows of tables that inherit from it', async (t) => {
  await using db = await source(`
    CREATE TABLE parent (a int PRIMARY KEY); CREATE TABLE kid (PRIMARY KEY (a)) INHERITS (parent);
    INSERT INTO parent VALUES (1); INSERT INTO kid VALUES (1), (2)`)
  const connector = db.connector()
  t.deepEqual((await readShardFully(connector, await shardOf(connector, 'public.parent'))).rows, [
    ['1'],
  ])
  t.deepEqual((await readShardFully(connector, await shardOf(connector, 'public.kid'))).rows, [
    ['1'],
    ['2'],
  ])
})

test('views, materialised views, partitioned and foreign tables are read like tables', async (t) => {
  await using db = await source(`
    CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw;
    CREATE FOREIGN TABLE foreign_t (a int) SERVER f OPTIONS (program 'seq 3');
    CREATE TABLE p (a int PRIMARY KEY) PARTITION BY HASH (a);
    CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO p SELECT generate_series(1, 9);
    CREATE VIEW v AS SELECT a FROM p WHERE a < 4; CREATE MATERIALIZED VIEW m AS SELECT * FROM v`)
  const connector = db.connector()
  const shards = await connector.shards(testContext(), [])
  t.deepEqual(
    shards.map((shard) => shard.table),
    ['public.foreign_t', 'public.m', 'public.p', 'public.v'],
  )
  const values = async (table: string) =>
    (await readShardFully(connector, await shardOf(connector, table))).rows.map((row) =>
      Number(row[0]),
    )
  t.deepEqual(await values('public.foreign_t'), [1, 2, 3])
  t.deepEqual(await values('public.p'), [1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.deepEqual(
    (await values('public.v')).toSorted((a, b) => a - b),
    [1, 2, 3],
  )
  t.deepEqual(
    (await values('public.m')).toSorted((a, b) => a - b),
    [1, 2, 3],
  )
})

test('a full load ends with a cursor after which nothing is read, with and without a key', async (t) => {
  await using db = await source(`
    CREATE TABLE keyed (a int PRIMARY KEY); INSERT INTO keyed VALUES (1), (2);
    CREATE TABLE keyless (a int); INSERT INTO keyless VALUES (1), (2);
    CREATE TABLE vacant (a int PRIMARY KEY)`)
  const connector = db.connector()
  for (const table of ['public.keyed', 'public.keyless', 'public.vacant']) {
    const shard = await shardOf(connector, table)
    const read = await readShardFully(connector, shard)
    const last = read.cursors.at(-1)!
    t.deepEqual(last.cursor, { kind: 'done' })
    t.is(last.rows, table === 'public.vacant' ? 0 : 2)
    t.deepEqual((await readShardFully(connector, shard, { cursor: last.cursor })).rows, [])
  }
})

test('a table without a key has no cursor before its end', async (t) => {
  await using db = await source('CREATE TABLE x AS SELECT generate_series(1, 1000) AS a')
  const connector = db.connector()
  const context = testContext({ chunkBytesMax: 200 })
  const read = await readShardFully(connector, await shardOf(connector), { context })
  t.deepEqual(read.cursors, [{ cursor: { kind: 'done' }, rows: 1000 }])
})

test('a row that is not UTF-8 is set aside with a reason, and the others are read', async (t) => {
  await using admin = await connectTo(server.url)
  const name = oddName('bytes')
  await admin.query(
    `CREATE DATABASE ${name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
  )
  t.teardown(() => execute(`DROP DATABASE ${name} WITH (FORCE)`))
  const url = new URL(server.url)
  url.pathname = `/${name}`
  await using beside = await connectTo(url.href)
  await beside.query(`CREATE TABLE x (id int PRIMARY KEY, s text); INSERT INTO x VALUES
    (1, 'plain'), (2, E'caf\\xe9'), (3, E'a\\nb "q"'), (4, E'\\xc3\\xa9')`)
  const connector = createPostgresConnector({ type: 'postgres', url: url.href, tables: ['x'] })
  const read = await readShardFully(connector, await shardOf(connector))
  t.deepEqual(read.rows, [
    ['1', 'plain'],
    ['3', 'a\nb "q"'],
    ['4', 'é'],
  ])
  const rejects = read.events.filter((event) => event.kind === 'reject')
  t.deepEqual(rejects, [{ kind: 'reject', raw: '2,café', reason: 'the text is not valid UTF-8' }])
})

test('a password, a role and a database in the url may hold any characters', async (t) => {
  const role = oddName('odd @/:? role')
  const name = oddName('odd dbé')
  await execute(`CREATE DATABASE "${name}"`)
  t.teardown(() => execute(`DROP DATABASE "${name}" WITH (FORCE)`))
  const url = new URL(server.url)
  url.pathname = `/${encodeURIComponent(name)}`
  await execute(`CREATE ROLE "${role}" LOGIN PASSWORD 'p@ss/w:rd?'`)
  t.teardown(() => execute(`DROP ROLE "${role}"`))
  url.username = role
  url.password = 'p@ss/w:rd?'
  const findings = await createPostgresConnector({
    type: 'postgres',
    url: url.href,
    tables: ['*.*'],
  }).check(testContext())
  t.regex(findings[0]!.message, /odd dbé_\w+: PostgreSQL/)
})

// ── How it fails ──────────────────────────────────────────────────────────────────────────────────

const SECRET = 'never-shown'

test('servers that cannot be used are told apart, and no message shows the password', async (t) => {
  const base = new URL(server.url)
  base.password = SECRET
  const at = (change: (url: URL) => void): string => {
    const url = new URL(base)
    change(url)
    return url.href
  }
  const cases: readonly (readonly [string, Code])[] = [
    [at((url) => (url.port = '1')), 'SOURCE_UNREACHABLE'],
    [at((url) => (url.hostname = 'no-such-host.invalid')), 'SOURCE_UNREACHABLE'],
    [at((url) => (url.username = 'nobody_here')), 'SOURCE_AUTH'],
    [at((url) => (url.pathname = '/no_such_database')), 'SOURCE_FATAL'],
    [at((url) => (url.search = '?sslmode=verify-full')), 'SOURCE_FATAL'],
    [at((url) => (url.search = '?sslmode=verify-full&sslrootcert=/no/such.pem')), 'CONFIG_INVALID'],
    [`mysql://root:${SECRET}@localhost/x`, 'CONFIG_INVALID'],
    [`postgres://root:${SECRET}@[bad/x`, 'CONFIG_INVALID'],
  ]
  for (const [url, code] of cases) {
    const connector = createPostgresConnector({ type: 'postgres', url, tables: ['x'] })
    const error = await failure(connector.describe(testContext()))
    t.is(error.code, code, `${url}: ${error.message}`)
    t.false(JSON.stringify([error.message, error.suggestion, error.stack]).includes(SECRET))
    const [finding] = await connector.check(testContext())
    t.deepEqual([finding!.severity, finding!.message], ['error', error.message])
  }
})

test('a table that the user may not read fails alone, and the finding holds the GRANT that cures it', async (t) => {
  const role = oddName('reader')
  await using db = await source(`
    CREATE ROLE ${role} LOGIN PASSWORD 'x'; CREATE TABLE open (a int); CREATE TABLE closed (a int);
    CREATE TABLE half (a int PRIMARY KEY, b int, c int); CREATE SCHEMA hidden; CREATE TABLE hidden.t (a int);
    INSERT INTO half VALUES (1, 2, 3);
    GRANT SELECT ON open TO ${role}; GRANT SELECT (a, b) ON half TO ${role}`)
  t.teardown(async () => {
    await using beside = await connectTo(db.url)
    await beside.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })
  const url = new URL(db.url)
  url.username = role
  url.password = 'x'
  const connector = db.connector({ url: url.href, perTable: { half: { exclude: ['c'] } } })
  const findings = (await connector.check(testContext())).filter((f) => f.severity === 'error')
  t.deepEqual(
    findings.map((f) => f.message),
    [`${role} may not read hidden.t`, `${role} may not read public.closed`],
  )
  const shards = await connector.shards(testContext(), [])
  t.is(shards.length, 4)
  t.deepEqual((await readShardFully(connector, await shardOf(connector, 'public.open'))).rows, [])
  t.deepEqual((await readShardFully(connector, await shardOf(connector, 'public.half'))).rows, [
    ['1', '2'],
  ])
  const error = await failure(readShardFully(connector, await shardOf(connector, 'public.closed')))
  t.is(error.code, 'SOURCE_AUTH')
  t.regex(error.suggestion!, /GRANT SELECT ON "public"."closed"/)
  for (const finding of findings) {
    await db.beside.query(finding.suggestion!.replace('Run on the server: ', ''))
  }
  t.deepEqual(
    (await connector.check(testContext())).filter((f) => f.severity === 'error'),
    [],
  )
  t.deepEqual((await readShardFully(connector, await shardOf(connector, 'hidden.t'))).rows, [])
})

test('a table or column that is gone is told by name', async (t) => {
  await using db = await source('CREATE TABLE x (id int PRIMARY KEY, at timestamptz)')
  const connector = db.connector()
  const shard = await shardOf(connector)
  await db.beside.query('ALTER TABLE x DROP COLUMN at')
  const mode = { kind: 'incremental', column: 'at', lag: undefined } as const
  const column = await failure(readShardFully(connector, shard, { mode }))
  t.is(column.code, 'CONFIG_INVALID')
  t.regex(column.message, /public\.x: the column "at"/)
  await db.beside.query('DROP TABLE x')
  const table = await failure(readShardFully(connector, shard))
  t.is(table.code, 'SOURCE_FATAL')
  t.regex(table.message, /there is no table public\.x any more/)
})

test('a value that the server cannot compute fails as data', async (t) => {
  await using db = await source(
    'CREATE VIEW x AS SELECT 1 / (3 - i) AS a FROM generate_series(1, 5) i',
  )
  const connector = db.connector()
  const error = await failure(readShardFully(connector, await shardOf(connector)))
  t.is(error.code, 'SOURCE_DATA')
  t.regex(error.message, /public\.x: division by zero \(22012\)/)
})

test('a foreign cursor, a cursor of another mode and a cursor of another key are refused', async (t) => {
  await using db = await source(
    'CREATE TABLE x (id int PRIMARY KEY, v int NOT NULL); INSERT INTO x VALUES (1, 2)',
  )
  const connector = db.connector()
  const shard = await shardOf(connector)
  const code = async (cursor: never, mode?: never) =>
    (await failure(readShardFully(connector, shard, { cursor, ...(mode ? { mode } : {}) }))).code
  for (const cursor of [
    7,
    'x',
    [],
    {},
    { kind: 'key' },
    { kind: 'key', at: { columns: [], types: [], values: [] } },
  ]) {
    t.is(await code(cursor as never), 'STATE_INVALID')
  }
  const byValue = { kind: 'incremental', column: 'v', lag: undefined } as never
  t.is(await code({ kind: 'done' } as never, byValue), 'STATE_INVALID')
  t.is(await code({ kind: 'value', column: 'v', at: null } as never), 'STATE_INVALID')
  t.is(await code({ kind: 'value', column: 'w', at: null } as never, byValue), 'STATE_INVALID')
  const { cursors } = await readShardFully(connector, shard)
  await db.beside.query('ALTER TABLE x ALTER id TYPE text')
  t.is(await code(cursors[0]!.cursor as never), 'SOURCE_FATAL')
})

// ── What it leaves behind ─────────────────────────────────────────────────────────────────────────

const BIG = `CREATE TABLE big AS SELECT i AS id, repeat(md5(i::text), 30) AS body
  FROM generate_series(1, 40000) i; ALTER TABLE big ADD PRIMARY KEY (id)`

test('the server is held back while nobody asks for more', async (t) => {
  await using db = await source(BIG)
  const connector = db.connector()
  const events = openShard(connector, await shardOf(connector))[Symbol.asyncIterator]()
  let rows = 0
  const count = (event: SourceEvent): void => {
    if (event.kind === 'rows') rows += event.rows
  }
  count(await firstRows(events))
  const sent = async (): Promise<number> => {
    const { rows: found } = await db.beside.query<{ readonly sent: string }>(
      'SELECT bytes_processed AS sent FROM pg_stat_progress_copy WHERE datname = current_database()',
    )
    return Number(found[0]?.sent)
  }
  // Thirty looks without progress: the server is stuck, not slow.
  for (let still = 0, last = await sent(); still < 30;) {
    const now = await sent()
    still = now === last ? still + 1 : 0
    last = now
    t.true(now < 30e6, `${now} bytes were sent`)
  }
  for (let next = await events.next(); !next.done; next = await events.next()) count(next.value)
  t.is(rows, 40_000)
  await waitFor(db.beside, NO_SESSIONS)
})

test('a reader that stops early leaves no session on the server', async (t) => {
  await using db = await source(BIG)
  const connector = db.connector()
  for await (const event of openShard(connector, await shardOf(connector))) {
    if (event.kind === 'rows') break
  }
  await waitFor(db.beside, NO_SESSIONS)
  t.pass()
})

test('an abort ends a read at once, with its reason, and leaves no session', async (t) => {
  await using db = await source(`${BIG}; CREATE VIEW slow AS SELECT pg_sleep(600)::text AS a`)
  const connector = db.connector()
  const shards = await connector.shards(testContext(), [])
  for (const shard of shards) {
    const abort = new AbortController()
    const reason = new Error(`stop reading ${shard.table}`)
    const context = testContext({ signal: abort.signal })
    const events = openShard(connector, shard, { context })[Symbol.asyncIterator]()
    await events.next()
    const next =
      shard.table === 'public.slow' ? events.next() : firstRows(events).then(() => events.next())
    await waitFor(
      db.beside,
      `EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'hakiri'
        AND datname = current_database() AND query LIKE 'COPY%')`,
    )
    if (shard.table === 'public.big') await next
    abort.abort(reason)
    const rest = shard.table === 'public.slow' ? next : drain(events)
    await t.throwsAsync(rest, { is: reason })
    await waitFor(db.beside, NO_SESSIONS)
  }
})

async function drain(events: AsyncIterator<SourceEvent>): Promise<void> {
  for (;;) if ((await events.next()).done) return
}

test('an abort while the server does not answer ends describe, check, shards and open', async (t) => {
  await using db = await source('CREATE TABLE x (a int)')
  const already = testContext({ signal: AbortSignal.abort(new Error('too late')) })
  const connector = db.connector()
  const shard = await shardOf(connector)
  const attempts: readonly ((context: ConnectorContext) => Promise<unknown>)[] = [
    (context) => connector.describe(context),
    (context) => connector.check(context),
    (context) => connector.shards(context, []),
    (context) => readShardFully(connector, shard, { context }),
  ]
  for (const attempt of attempts) await t.throwsAsync(attempt(already), { message: 'too late' })
  await db.beside.query('BEGIN; LOCK TABLE x IN ACCESS EXCLUSIVE MODE')
  const abort = new AbortController()
  const blocked = readShardFully(connector, shard, {
    context: testContext({ signal: abort.signal }),
  })
  await waitFor(
    db.beside,
    `EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE NOT l.granted AND a.application_name = 'hakiri' AND a.datname = current_database())`,
  )
  abort.abort(new Error('stop waiting'))
  await t.throwsAsync(blocked, { message: 'stop waiting' })
  await waitFor(db.beside, NO_SESSIONS)
  await db.beside.query('ROLLBACK')
})

test('waiting for a lock has an end, and the message says what was waited for', async (t) => {
  await using db = await source('CREATE TABLE x (a int)')
  const connector = db.connector({}, { lockTimeoutMs: 50 })
  const shard = await shardOf(connector)
  await db.beside.query('BEGIN; LOCK TABLE x IN ACCESS EXCLUSIVE MODE')
  const error = await failure(readShardFully(connector, shard))
  t.is(error.code, 'SOURCE_UNREACHABLE')
  t.regex(error.message, /public\.x: canceling statement due to lock timeout/)
  await db.beside.query('ROLLBACK')
})

test('a rewrite of the table while the read waits for it does not show an empty table', async (t) => {
  await using db = await source('CREATE TABLE x (a int); INSERT INTO x VALUES (1), (2)')
  const connector = db.connector()
  const shard = await shardOf(connector)
  await db.beside.query('BEGIN; ALTER TABLE x ALTER a TYPE text')
  const read = readShardFully(connector, shard)
  await waitFor(
    db.beside,
    `EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE NOT l.granted AND a.application_name = 'hakiri' AND a.datname = current_database())`,
  )
  await db.beside.query('COMMIT')
  const { rows, columns } = await read
  t.deepEqual(rows, [['1'], ['2']])
  t.is(columns[0]!.sourceType, 'text')
})

test('a session that the server ends mid-COPY is a failure that a retry can cure', async (t) => {
  await using db = await source(BIG)
  const connector = db.connector()
  const events = openShard(connector, await shardOf(connector))[Symbol.asyncIterator]()
  await firstRows(events)
  await db.beside.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'hakiri' AND datname = current_database()`)
  const error = await failure(drain(events))
  t.is(error.retry, 'transient')
  t.regex(error.message, /public\.big/)
})

test('a server that dies mid-COPY is a failure that a retry can cure, and rows resume after its return', async (t) => {
  await using own = await startPostgres()
  if (own.dataFolder === undefined) return t.pass('a server that is not ours is not stopped')
  {
    await using beside = await connectTo(own.url)
    await beside.query(BIG)
  }
  const connector = createPostgresConnector({ type: 'postgres', url: own.url, tables: ['big'] })
  const shard = await shardOf(connector)
  const events = openShard(connector, shard)[Symbol.asyncIterator]()
  const first = await firstRows(events)
  await own.down('immediate')
  const error = await failure(drain(events))
  t.is(error.code, 'SOURCE_UNREACHABLE')
  await own.up()
  const before = first.kind === 'rows' ? first : undefined
  const rest = await readShardFully(connector, shard, { cursor: before!.cursor! })
  t.is(before!.rows + rest.rows.length, 40_000)
  t.is(rest.rows[0]![0], String(before!.rows + 1))
})
