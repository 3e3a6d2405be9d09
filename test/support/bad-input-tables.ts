/** Odd rows and changing schemas: some are refused, most are data that must be stored as they are. */
import type { ExecutionContext } from 'ava'
import { APPEND, feed, tables, toml, type Bench } from './bad-input-lab.ts'
import { rowsOf, type Case, type Refusal } from './bad-input-case.ts'
import { readDelta } from './delta-reader.ts'

type Rows = readonly Record<string, unknown>[]
type Check = (t: ExecutionContext, rows: Rows, bench: Bench) => Promise<void> | void

type Next = {
  readonly name: string
  /** JSON text of the records that the source has at the second run. */
  readonly body: string
  /** Keys of the pipeline. */
  readonly keys?: string
  readonly pipeline?: 'feed' | 'fresh' | 'keyed'
}

const pathOf = (name: string): string => `/${name.replaceAll(/[^a-z0-9]+/gi, '-')}`

function next({ name, body, keys = '', pipeline = 'feed' }: Next, expect: Case['expect']): Case {
  const path = pathOf(name)
  const text =
    pipeline === 'feed'
      ? feed(path, APPEND + keys)
      : pipeline === 'fresh'
        ? feed(path, `mode = "full"\n${keys}`)
        : feed(
            path,
            `write = { mode = "upsert", key = ["id"], cursor = "n" }\n${keys}`,
            ', key = ["id"]',
          )
  return {
    name,
    toml: toml({ [pipeline]: text }),
    prepare: (bench) => {
      bench.lab.replies.set(path, { body })
      return Promise.resolve()
    },
    command: ['run', pipeline],
    expect,
  }
}

/** The rows that the run adds to table `rows` of the pipeline. */
const stores = (spec: Next, check: Check): Case =>
  next(spec, {
    exit: 0,
    holds: async (t, bench) => {
      const pipeline = spec.pipeline ?? 'feed'
      const rows = await rowsOf(bench, `${pipeline}.rows`)
      await check(t, pipeline === 'fresh' ? rows : rows.slice(2), bench)
    },
  })

const refuses = (spec: Next, expect: Omit<Refusal, 'exit'>): Case =>
  next(spec, { exit: 1, ...expect })

/** Each rejected row with its reason. */
async function reasons(bench: Bench): Promise<readonly string[]> {
  const rows = await rowsOf(bench, '_quarantine.feed.rows')
  return rows.map((row) => String(row['reason']))
}

const CHANGED = '[{"id":3,"n":"many","name":"c"}]'
const changed = (policy: string): Next => ({
  name: `a column that becomes text, types = ${policy}`,
  body: CHANGED,
  keys: `schema = { types = "${policy}" }`,
})
const WIDER = '[{"id":3,"n":30,"name":"c","extra":true}]'
const wider = (policy: string): Next => ({
  name: `a new column, columns = ${policy}`,
  body: WIDER,
  keys: `schema = { columns = "${policy}" }`,
})

const POLICIES: readonly Case[] = [
  stores(
    changed('variant'),
    (t, rows) => void t.like(rows[0], { id: 3n, n: null, n__string: 'many', name: 'c' }),
  ),
  stores(
    changed('evolve'),
    (t, rows) => void t.like(rows[0], { id: 3n, n: null, n__string: 'many', name: 'c' }),
  ),
  refuses(changed('freeze'), { code: 'SCHEMA_FROZEN', message: 'n (long, now string)' }),
  stores(changed('discard_value'), (t, rows) => {
    t.deepEqual(rows, [{ id: 3n, n: null, name: 'c' }])
  }),
  stores(changed('discard_row'), async (t, rows, bench) => {
    t.deepEqual(rows, [])
    t.deepEqual(await reasons(bench), ['value of n is no long'])
  }),
  stores(changed('ask'), async (t, rows, bench) => {
    t.deepEqual(rows, [])
    t.deepEqual(await reasons(bench), ['value of n is no long; a decision is pending'])
    t.regex((await bench.run('schema')).stdout, /pending/)
  }),
  stores(wider('evolve'), (t, rows) => void t.like(rows[0], { id: 3n, extra: true })),
  refuses(wider('freeze'), { code: 'SCHEMA_FROZEN', message: 'new columns extra (boolean)' }),
  stores(wider('discard_value'), (t, rows) => {
    t.deepEqual(rows, [{ id: 3n, n: 30n, name: 'c' }])
  }),
  stores(wider('discard_row'), async (t, rows, bench) => {
    t.deepEqual(rows, [])
    t.deepEqual(await reasons(bench), ['column extra is not in the table'])
  }),
  stores(wider('ask'), async (t, rows, bench) => {
    t.deepEqual(rows, [])
    t.deepEqual(await reasons(bench), ['column extra is not in the table; a decision is pending'])
    t.regex((await bench.run('schema')).stdout, /pending/)
  }),
]

const objectOf = (count: number): string =>
  JSON.stringify([Object.fromEntries(Array.from({ length: count }, (_, i) => [`c${i}`, i]))])
const BIG = 'x'.repeat(10_000_000)

const ROWS: readonly Case[] = [
  stores({ name: '2 000 columns', body: objectOf(2_000), pipeline: 'fresh' }, (t, rows) => {
    t.is(Object.keys(rows[0] ?? {}).length, 2_000)
    t.is(rows[0]?.['c1999'], 1999n)
  }),
  refuses(
    { name: '2 001 columns', body: objectOf(2_001), pipeline: 'fresh' },
    { code: 'SCHEMA_INVALID', message: 'the limit is 2000' },
  ),
  stores(
    {
      name: 'two cells of 10 MB',
      body: `[{"id":3,"name":"${BIG}"},{"id":4,"name":"${BIG}"}]`,
      keys: 'memory = "512MB"',
    },
    (t, rows) => {
      t.deepEqual(
        rows.map((row) => row['name'] === BIG),
        [true, true],
      )
    },
  ),
  refuses(
    {
      name: 'a row larger than the memory budget',
      body: `[{"id":3,"name":"${BIG}${BIG}${BIG}"}]`,
      keys: 'memory = "64MB"',
    },
    { code: 'MEMORY_EXCEEDED', message: '' },
  ),
  stores(
    { name: 'keys that differ by case alone', body: '[{"Id":1,"id":2,"ID":3}]', pipeline: 'fresh' },
    (t, rows) => void t.deepEqual(rows, [{ id: 2n, id_2: 3n, id_3: 1n }]),
  ),
  stores(
    {
      name: 'keys with quotes, newlines, spaces and other scripts',
      body: String.raw`[{"a\"b":1,"a'b":2,"a\nb":3,"日本":4,"":5,"a;drop table x":6,"../../x":7}]`,
      pipeline: 'fresh',
    },
    (t, rows) => {
      const [row = {}] = rows
      t.deepEqual(
        Object.values(row)
          .map(Number)
          .toSorted((a, b) => a - b),
        [1, 2, 3, 4, 5, 6, 7],
      )
      for (const name of Object.keys(row)) t.regex(name, /^[a-z0-9_]+$/)
    },
  ),
  refuses(
    { name: 'a key that Hakiri keeps for itself', body: '[{"_hakiri_seq":1}]', pipeline: 'fresh' },
    { code: 'SCHEMA_INVALID', message: '_hakiri_seq' },
  ),
  stores(
    {
      name: 'numbers beyond 64 bits and beyond a double',
      body: '[{"id":3,"a":123456789012345678901234567890,"b":1e400,"c":-0.0,"d":1e-400}]',
      pipeline: 'fresh',
    },
    (t, rows) => {
      t.is(String(rows[0]?.['a']), '123456789012345678901234567890')
      t.like(rows[0], { b: null, b__string: '1e400' })
      t.true(Object.is(rows[0]?.['c'], -0))
    },
  ),
  stores(
    { name: 'a key twice in one object goes to quarantine', body: '[{"id":3,"n":1,"n":2}]' },
    async (t, rows, bench) => {
      t.deepEqual(rows, [])
      t.regex((await reasons(bench)).join(), /"n" appears twice/)
    },
  ),
  stores(
    {
      name: 'strings with NUL, quotes, tabs and emoji',
      body: String.raw`[{"id":3,"name":"\u0000\"\t\\N,\r\n😀"}]`,
    },
    (t, rows) => void t.is(rows[0]?.['name'], '\u0000"\t\\N,\r\n😀'),
  ),
  stores(
    {
      name: 'half a surrogate in a string goes to quarantine',
      body: String.raw`[{"id":3,"name":"\ud800"}]`,
    },
    async (t, rows, bench) => {
      t.deepEqual(rows, [])
      t.deepEqual(await reasons(bench), ['a string of the record holds half a character'])
    },
  ),
  stores(
    {
      name: 'values nested 100 deep',
      body: `[{"id":3,"name":${'['.repeat(100)}1${']'.repeat(100)}}]`,
    },
    (t, rows) => void t.is(rows.length, 1),
  ),
  stores({ name: 'an empty list', body: '[]' }, async (t, rows, bench) => {
    t.deepEqual(rows, [])
    t.is((await readDelta(bench.table('feed.rows'))).version, 0)
  }),
  stores(
    { name: 'a null where the list belongs', body: 'null' },
    (t, rows) => void t.deepEqual(rows, []),
  ),
  refuses(
    {
      name: 'an upsert of a row whose key is null',
      body: '[{"id":null,"n":99,"name":"c"}]',
      pipeline: 'keyed',
      keys: 'quarantine = { max_rows = 0 }',
    },
    { code: 'QUARANTINE_FULL', message: 'key id is null' },
  ),
  refuses(
    {
      name: 'more rejected rows than allowed',
      body: '[{"id":3,"n":"x"},{"id":4,"n":"y"},{"id":5,"n":"z"}]',
      keys: 'schema = { types = "discard_row" }\nquarantine = { max_rows = 2, max_ratio = 1 }',
    },
    { code: 'QUARANTINE_FULL', message: '3 of 3 rows were rejected' },
  ),
  refuses(
    {
      name: 'a larger share of rejected rows than allowed',
      body: '[{"id":3,"n":"x"},{"id":4,"n":"y"},{"id":5,"n":5}]',
      keys: 'schema = { types = "discard_row" }\nquarantine = { max_rows = 10, max_ratio = 0.5 }',
    },
    { code: 'QUARANTINE_FULL', message: '2 of 3 rows were rejected' },
  ),
  {
    name: 'a write mode that changes on a table with rows',
    toml: toml({ whole: feed('/seed', APPEND) }),
    command: ['run', 'whole'],
    expect: { exit: 2, code: 'CONFIG_INVALID', message: 'was written with mode replace' },
  },
  {
    name: 'a key to upsert by that the rows do not have',
    toml: toml({
      fresh: feed('/seed', 'write = { mode = "upsert", key = ["nr"], cursor = "id" }'),
    }),
    command: ['run', 'fresh'],
    expect: { exit: 1, code: 'SCHEMA_INVALID', message: 'the key names nr' },
  },
  {
    name: 'a column type that cannot hold the values',
    toml: toml({
      fresh: feed(
        '/seed',
        'mode = "full"\ntypes = { name = "timestamp" }\nschema = { types = "freeze" }',
      ),
    }),
    command: ['run', 'fresh'],
    expect: { exit: 1, code: 'SCHEMA_FROZEN', message: 'name (timestamp, now string)' },
  },
]

const POSTGRES: readonly Case[] = [
  {
    name: 'postgres: NaN, infinities, year 9999 and years before Christ are stored as they are',
    toml: toml({ odd: tables('"extremes"') }),
    command: ['run', 'odd'],
    expect: { exit: 0, holds: checkExtremes },
  },
  {
    name: 'postgres: column names with quotes, newlines, other scripts and case alone',
    toml: toml({ odd: tables('"O\'Brien*"') }),
    command: ['run', 'odd'],
    expect: {
      exit: 0,
      holds: async (t, bench, { result }) => {
        const [{ tables: [made] = [] } = {}] = result as { tables?: { table: string }[] }[]
        const rows = await rowsOf(bench, made?.table ?? '')
        t.like(rows[0], { id: 2, id_2: 1, a_b: 4, a_b_2: 3 })
        t.deepEqual(new Set(Object.values(rows[0] ?? {})), new Set([1, 2, 3, 4, 5, 6]))
      },
    },
  },
  {
    name: 'postgres: an empty table is no error and no file',
    toml: toml({ odd: tables('"empty"') }),
    command: ['run', 'odd'],
    expect: {
      exit: 0,
      holds: async (t, bench) => {
        await t.throwsAsync(readDelta(bench.table('odd.empty')), { message: /not a Delta table/ })
        t.is((await bench.run('run', 'odd')).code, 0)
      },
    },
  },
]

const DAY = 86_400_000_000n

async function checkExtremes(t: ExecutionContext, bench: Bench): Promise<void> {
  const rows = (await rowsOf(bench, 'odd.extremes')).toSorted(
    (a, b) => Number(a['id']) - Number(b['id']),
  )
  const [nan, high, low, before, first] = rows
  const kept = { dec: null, d: null, ts: null, tz: null }
  const infinity = { d__string: 'infinity', ts__string: 'infinity', tz__string: 'infinity' }
  t.like(nan, { f8: NaN, f4: NaN, num: 'NaN', ...kept, ...infinity, dec__string: 'NaN' })
  t.like(nan, { i8: 2n ** 63n - 1n, txt: '', arr: '[]' })
  const end = 253_402_300_799_999_999n
  t.like(high, {
    f8: Infinity,
    f4: Infinity,
    num: `1${'0'.repeat(30)}`,
    d: 2_932_896,
    ts: end,
    tz: end,
  })
  t.like(high, { dec: `${'9'.repeat(36)}.99`, i8: -(2n ** 63n), txt: '\\N', arr: '[1,null]' })
  t.like(low, { f8: -Infinity, f4: -Infinity, num: '-0.000000000000000000001', dec: '-0.01' })
  t.like(low, { d__string: '-infinity', ts__string: '-infinity', tz__string: '-infinity' })
  t.is(low?.['txt'], 'a\nb"c,d')
  t.true(Object.is(before?.['f8'], -0))
  t.like(before, { d: -2_440_550, ts: -63_517_780_800_000_000n, tz: -63_517_780_800_000_000n })
  t.like(before, { num: '12345678901234567890.123456789', txt: '😀' })
  t.like(first, { f8: 5e-324, d: -719_162, ts: -719_162n * DAY, tz: -719_162n * DAY })
}

export const TABLE_CASES: readonly Case[] = [...POLICIES, ...ROWS, ...POSTGRES]
