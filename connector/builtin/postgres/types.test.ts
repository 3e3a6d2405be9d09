/** Every type of a real server, read through the connector and compared with what the server prints. */
import test from 'ava'
import { connectTo, readShardFully, testContext } from '../../../test/support/postgres-source.ts'
import { startPostgres, type Postgres } from '../../../test/support/postgres.ts'
import type { SourceColumn } from '../../../lib/column.ts'
import { createPostgresConnector } from './postgres.ts'
import { toSourceColumn, type PostgresType } from './types.ts'

let server: Postgres

test.before(async () => {
  server = await startPostgres()
})
test.after.always(async () => {
  await server?.stop()
})

type Sample = readonly [type: string, announced: string, ...literals: string[]]

/** SQL type, how it is announced, and values that a careless reader would lose something of. */
const SAMPLES: readonly Sample[] = [
  ['boolean', 'boolean', 'true', 'false'],
  ['smallint', 'short', '-32768', '32767'],
  ['integer', 'integer', '-2147483648', '2147483647'],
  ['bigint', 'long', '-9223372036854775808', '9223372036854775807'],
  ['real', 'float', '1.1', '3.4028235e+38', 'NaN', '-Infinity', '1e-45', '-0'],
  ['double precision', 'double', '0.1', '1.7976931348623157e308', 'NaN', 'Infinity', '-0'],
  ['numeric(10,2)', 'decimal(10,2)', '-12345678.90', '0.05', 'NaN'],
  ['numeric(38,0)', 'decimal(38,0)', '99999999999999999999999999999999999999'],
  ['numeric(38,38)', 'decimal(38,38)', '0.12345678901234567890123456789012345678'],
  ['numeric(39,1)', 'string', '12345678901234567890123456789012345678.9'],
  ['numeric(5,-2)', 'decimal(7,0)', '1234500'],
  ['numeric(2,5)', 'decimal(5,5)', '0.00012'],
  ['numeric', 'string', '1e-30', '123456789012345678901234567890123456789012345.678'],
  ['money', 'string', '-1234.56'],
  [
    'text',
    'string',
    '',
    'a"b,c',
    'tab\tline\nand\r\nmore',
    String.raw`\. \N back\slash`,
    'Žluťoučký 🐎',
  ],
  ['varchar(10)', 'string', '  pad  '],
  ['char(5)', 'string', 'ab'],
  ['"char"', 'string', 'x'],
  ['name', 'string', 'a_name'],
  ['bytea', 'binary', String.raw`\x00ff10`, String.raw`\x`],
  [
    'date',
    'date',
    '2024-02-29',
    '0001-01-01',
    '9999-12-31',
    '0044-03-15 BC',
    'infinity',
    '-infinity',
  ],
  ['time', 'string time', '23:59:59.999999', '24:00:00'],
  ['timetz', 'string time', '12:00:00.5+05:30'],
  ['timestamp', 'timestamp local-timestamp', '2024-02-29 23:59:59.999999', 'infinity'],
  [
    'timestamptz',
    'timestamp',
    '2024-02-29 23:59:59.000001+05:45',
    '-infinity',
    '0044-03-15 12:00 BC',
  ],
  ['timestamp(0)', 'timestamp local-timestamp', '9999-12-31 23:59:59'],
  ['interval', 'string interval', '1 year 2 mons -3 days 04:05:06.789', '-1 mon'],
  ['uuid', 'string uuid', '6e0c6f9b-0d6c-4a5e-9d4e-2f4c5a7b8c9d'],
  ['json', 'string json', '{"a" : 1,\n "b":[1,2]}', 'null'],
  ['jsonb', 'string json', '{"big": 12345678901234567890.123, "s": "\\u00e9\\n"}'],
  ['jsonpath', 'string', '$.a[*] ? (@ > 1)'],
  ['xml', 'string', '<a b="c">d</a>'],
  ['inet', 'string', '10.0.0.1/8', '::1'],
  ['cidr', 'string', '10.0.0.0/8'],
  ['macaddr', 'string', '08:00:2b:01:02:03'],
  ['macaddr8', 'string', '08:00:2b:01:02:03:04:05'],
  ['bit(3)', 'string', '101'],
  ['varbit', 'string', '10101'],
  ['tsvector', 'string', `'a':1 'it''s':2`],
  ['tsquery', 'string', `'fat' & ( 'rat' | 'cat' )`],
  ['point', 'string', '(1.5,-2)'],
  ['line', 'string', '{1,2,3}'],
  ['lseg', 'string', '[(1,2),(3,4)]'],
  ['box', 'string', '(3,4),(1,2)'],
  ['path', 'string', '((1,2),(3,4))'],
  ['polygon', 'string', '((1,2),(3,4),(5,6))'],
  ['circle', 'string', '<(1,2),3>'],
  ['oid', 'string', '4294967295'],
  ['xid', 'string', '42'],
  ['xid8', 'string', '18446744073709551615'],
  ['cid', 'string', '42'],
  ['tid', 'string', '(4294967295,7)'],
  ['pg_lsn', 'string', '16/B374D848'],
  ['pg_snapshot', 'string', '10:20:10,14,15'],
  ['txid_snapshot', 'string', '10:20:10,14,15'],
  ['refcursor', 'string', 'some cursor'],
  ['aclitem', 'string', 'postgres=r/postgres'],
  ['gtsvector', 'string'],
  ['regclass', 'string', 'pg_catalog.pg_class'],
  ['regcollation', 'string', '"C"'],
  ['regconfig', 'string', 'simple'],
  ['regdictionary', 'string', 'simple'],
  ['regnamespace', 'string', 'pg_catalog'],
  ['regoper', 'string'],
  ['regoperator', 'string', '+(integer,integer)'],
  ['regproc', 'string', 'now'],
  ['regprocedure', 'string', 'sum(integer)'],
  ['regrole', 'string', 'postgres'],
  ['regtype', 'string', 'integer'],
  ['int4range', 'string', '[1,5)', 'empty'],
  ['int8range', 'string', '[1,)'],
  ['numrange', 'string', '(1.5,2.5]'],
  ['daterange', 'string', '[2024-01-01,2024-02-01)'],
  ['tsrange', 'string', '["2024-01-01 00:00:00","2024-02-01 00:00:00")'],
  ['tstzrange', 'string', '["2024-01-01 00:00:00+00",)'],
  ['int4multirange', 'string', '{[1,3),[5,7)}'],
  ['nummultirange', 'string', '{[1.0,2.0]}'],
  ['mood', 'string', 'ok', 'not, "ok"'],
  ['pair', 'string', '(1,"a b")'],
  ['cents', 'decimal(8,2)', '12.30'],
  ['email', 'string', 'A@B.example'],
]

/** Arrays are JSON: dimensions stay, lower bounds do not. */
const ARRAYS: readonly (readonly [type: string, literal: string, json: string])[] = [
  ['integer[]', '{1,NULL,3}', '[1,null,3]'],
  ['text[]', '{"a,b","q\\"q",NULL,""}', '["a,b","q\\"q",null,""]'],
  ['integer[][]', '{{1,2},{3,4}}', '[[1,2],[3,4]]'],
  ['integer[]', '[5:6]={1,2}', '[1,2]'],
  ['timestamptz[]', '{2024-02-29 12:00:00+05:45}', '["2024-02-29T06:15:00+00:00"]'],
  ['numeric[]', '{1.10,NaN}', '[1.10,"NaN"]'],
  ['jsonb[]', '{"{\\"a\\": 1}"}', '[{"a": 1}]'],
  ['tags', '{a,b}', '["a","b"]'],
  ['mood[]', '{ok}', '["ok"]'],
  ['int2vector', '1 2', '[1,2]'],
  ['oidvector', '1 2', '["1","2"]'],
]

const TYPES = `
CREATE TYPE mood AS ENUM ('ok', 'not, "ok"');
CREATE TYPE pair AS (n int, t text);
CREATE DOMAIN amount AS numeric(8,2);
CREATE DOMAIN cents AS amount CHECK (VALUE >= 0);
CREATE DOMAIN email AS text;
CREATE DOMAIN tags AS text[];`

/** Defaults of the database that would change every text, were they not overruled. */
const HOSTILE = [
  `datestyle = 'SQL, DMY'`,
  `timezone = 'Asia/Kathmandu'`,
  `intervalstyle = 'sql_standard'`,
  `bytea_output = 'escape'`,
  `extra_float_digits = -10`,
  `statement_timeout = '1min'`,
  `idle_in_transaction_session_timeout = '1min'`,
  `synchronize_seqscans = on`,
  `default_transaction_isolation = 'serializable'`,
  `xmloption = 'document'`,
  `standard_conforming_strings = off`,
  `search_path = ''`,
]

test('every built-in type arrives as the server prints it, whatever the database defaults to', async (t) => {
  const url = await server.newDatabase()
  await using beside = await connectTo(url)
  await beside.query(TYPES)
  const columns = SAMPLES.map(([type], index) => `c${index} ${type}`)
  await beside.query(`CREATE TABLE samples (id int PRIMARY KEY, ${columns.join(', ')})`)
  const most = Math.max(...SAMPLES.map(([, , ...literals]) => literals.length))
  for (let row = 0; row < most; row++) {
    const values = SAMPLES.map(([, , ...literals]) => literals[row] ?? null)
    const places = SAMPLES.map(([type], index) => `$${index + 2}::text::${type}`)
    await beside.query(`INSERT INTO samples VALUES ($1, ${places.join(', ')})`, [row, ...values])
  }
  const database = new URL(url).pathname.slice(1)
  for (const setting of HOSTILE) await beside.query(`ALTER DATABASE "${database}" SET ${setting}`)

  const connector = createPostgresConnector({ type: 'postgres', url, tables: ['samples'] })
  const [shard] = await connector.shards(testContext(), [])
  const read = await readShardFully(connector, shard!)

  const announced = read.columns.slice(1).map((column) => describeColumn(column))
  t.deepEqual(
    announced,
    SAMPLES.map(([, expected]) => expected),
  )
  await beside.query(`SET datestyle = 'ISO'; SET timezone = 'UTC'; SET extra_float_digits = 1;
    SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET lc_monetary = 'C'`)
  const texts = SAMPLES.map(([type], index) =>
    type === 'boolean'
      ? `left(c${index}::text, 1)`
      : `format('%s', CASE WHEN c${index} IS NOT NULL THEN c${index} END)`,
  )
  const { rows } = await beside.query<(string | null)[]>({
    text: `SELECT ${texts.join(', ')} FROM samples ORDER BY id`,
    rowMode: 'array',
  })
  for (const [index, row] of rows.entries()) {
    for (const [column, [type, , ...literals]] of SAMPLES.entries()) {
      const expected = literals[index] === undefined ? null : row[column]
      t.is(read.rows[index]![column + 1], expected, `${type} ${literals[index]}`)
    }
  }
})

test('a read overrules the limits and the scan order that a database defaults to', async (t) => {
  const url = await server.newDatabase()
  await using beside = await connectTo(url)
  const names = ['statement_timeout', 'synchronize_seqscans', 'transaction_read_only']
  const settings = names.map((name) => `current_setting('${name}') AS ${name}`)
  await beside.query(`CREATE VIEW settings AS SELECT ${settings.join(', ')},
    current_setting('transaction_isolation') AS isolation, current_setting('application_name') AS app`)
  const database = new URL(url).pathname.slice(1)
  for (const setting of HOSTILE) await beside.query(`ALTER DATABASE "${database}" SET ${setting}`)
  const connector = createPostgresConnector({ type: 'postgres', url, tables: ['settings'] })
  const [shard] = await connector.shards(testContext(), [])
  const { rows } = await readShardFully(connector, shard!)
  t.deepEqual(rows, [['0', 'off', 'on', 'repeatable read', 'hakiri']])
})

test('a few texts, spelled out: time zones, infinities, NaN, money and bytes', async (t) => {
  const url = await server.newDatabase()
  await using beside = await connectTo(url)
  await beside.query(`CREATE TABLE s AS SELECT
    timestamptz '2024-02-29 23:59:59.000001+05:45' AS at, timestamp 'infinity' AS late,
    date '0044-03-15 BC' AS ides, 'NaN'::numeric(5,2) AS nan, '-1234.5'::money AS money,
    '\\x00ff'::bytea AS bytes, float8 '0.1' AS tenth, true AS yes, NULL::text AS none, '' AS empty,
    interval '-1 mon +2 days' AS span, ARRAY['a','b'] AS list`)
  const connector = createPostgresConnector({ type: 'postgres', url, tables: ['s'] })
  const [shard] = await connector.shards(testContext(), [])
  const { rows } = await readShardFully(connector, shard!)
  t.deepEqual(rows, [
    [
      '2024-02-29 18:14:59.000001+00',
      'infinity',
      '0044-03-15 BC',
      'NaN',
      '-$1,234.50',
      String.raw`\x00ff`,
      '0.1',
      't',
      null,
      '',
      '-1 mons +2 days',
      '["a","b"]',
    ],
  ])
})

test('the samples cover every base, range and multirange type that a column can have', async (t) => {
  await using beside = await connectTo(server.url)
  const { rows } = await beside.query<{ readonly name: string }>(`
    SELECT typname AS name FROM pg_type
    WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
      AND NOT (typcategory = 'A' AND typname ~ '^_')
      AND typname !~ '^pg_(node_tree|ndistinct|dependencies|mcv_list|brin)'`)
  const names = await beside.query<{ readonly name: string }>(
    `
    SELECT typname AS name FROM pg_type WHERE oid = ANY($1::regtype[])`,
    [
      [...SAMPLES, ...ARRAYS]
        .map(([type]) => type)
        .filter((type) => !/^(mood|pair|cents|email|tags)/.test(type)),
    ],
  )
  const covered = new Set(names.rows.map((row) => row.name))
  const alike = /^(ts|tstz|date|int8)multirange$/
  t.deepEqual(
    rows.map((row) => row.name).filter((name) => !covered.has(name) && !alike.test(name)),
    [],
  )
})

test('arrays arrive as JSON', async (t) => {
  const url = await server.newDatabase()
  await using beside = await connectTo(url)
  await beside.query(TYPES)
  const values = ARRAYS.map(
    ([type, literal], i) => `'${literal.replaceAll("'", "''")}'::${type} AS c${i}`,
  )
  await beside.query(`CREATE TABLE lists AS SELECT ${values.join(', ')}`)
  const connector = createPostgresConnector({ type: 'postgres', url, tables: ['lists'] })
  const [shard] = await connector.shards(testContext(), [])
  const { rows, columns } = await readShardFully(connector, shard!)
  t.deepEqual(rows, [ARRAYS.map(([, , json]) => json)])
  t.deepEqual(new Set(columns.map((column) => describeColumn(column))), new Set(['string json']))
})

test('types of extensions arrive as the server prints them', async (t) => {
  const url = await server.newDatabase()
  await using beside = await connectTo(url)
  await beside.query(`CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
    CREATE TABLE ext AS SELECT 'a=>1, b=>NULL'::hstore AS h, 'MiXed'::citext AS c, 'a.b'::ltree AS l`)
  const connector = createPostgresConnector({ type: 'postgres', url, tables: ['ext'] })
  const [shard] = await connector.shards(testContext(), [])
  const { rows, columns } = await readShardFully(connector, shard!)
  t.deepEqual(rows, [['"a"=>"1", "b"=>NULL', 'MiXed', 'a.b']])
  t.deepEqual(
    columns.map((column) => column.sourceType),
    ['public.hstore', 'public.citext', 'public.ltree'],
  )
})

test('a numeric without a decimal of at most 38 digits is a string', (t) => {
  const numeric = (precision: number, scale: number): PostgresType => ({
    display: 'numeric',
    cast: 'numeric',
    builtin: 'numeric',
    modifier: ((precision << 16) | (scale & 0x7ff)) + 4,
    array: false,
  })
  const cases: readonly (readonly [number, number, SourceColumn['type']])[] = [
    [1, 0, 'decimal(1,0)'],
    [38, 10, 'decimal(38,10)'],
    [39, 0, 'string'],
    [1000, 2, 'string'],
    [37, -1, 'decimal(38,0)'],
    [38, -1, 'string'],
    [3, 38, 'decimal(38,38)'],
    [3, 39, 'string'],
    [10, -1000, 'string'],
    [10, 1000, 'string'],
  ]
  for (const [precision, scale, expected] of cases) {
    t.is(toSourceColumn('n', numeric(precision, scale)).type, expected)
  }
})

function describeColumn(column: SourceColumn): string {
  return column.semantic ? `${column.type} ${column.semantic}` : column.type
}
