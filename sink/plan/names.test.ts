import test from 'ava'
import fc from 'fast-check'
import type { Column } from '../../lib/column.ts'
import { appId, parseAppId } from './app-id.ts'
import {
  checkpointKey,
  columnNames,
  dataFilePath,
  isDataPath,
  lastCheckpointKey,
  logKey,
  logVersion,
  NAME_LENGTH_MAX,
  quarantineOf,
  quarantineTable,
  tableFolder,
  tableName,
  tableNames,
  variantName,
} from './names.ts'

const column = (id: number, name: string, source: string): Column => ({
  id,
  name,
  type: 'string',
  source,
  sourceType: 'text',
})

function named(sources: readonly string[], existing: readonly Column[] = []) {
  const result = columnNames(sources, existing)
  if (result.kind !== 'named') throw new Error(`reserved: ${result.source}`)
  return Object.fromEntries(result.names)
}

test('a source name becomes lower snake case', (t) => {
  const cases: Readonly<Record<string, string>> = {
    id: 'id',
    'Order ID': 'order_id',
    createdAt: 'created_at',
    HTTPServer: 'http_server',
    Miles_per_Gallon: 'miles_per_gallon',
    'a--b..c': 'a_b_c',
    a__string: 'a_string',
    'total (€)': 'total_u20ac',
    Größe: 'grosse',
    Ærøskøbing: 'aeroskobing',
    naïve: 'naive',
    ﬁx: 'fix',
    名: 'u540d',
    '2024': '_2024',
    $ref: '_ref',
    '  padded ': 'padded',
    '': 'column',
    '---': 'column',
    'x\u0000y': 'x_y',
  }
  for (const [source, name] of Object.entries(cases)) {
    t.deepEqual(named([source]), { [source]: name }, JSON.stringify(source))
  }
})

test('names that differ only in case or spelling are numbered, whatever order they come in', (t) => {
  t.deepEqual(named(['Id', 'id']), { Id: 'id_2', id: 'id' })
  t.deepEqual(named(['id', 'Id', 'ID']), { id: 'id', ID: 'id_2', Id: 'id_3' })
  t.deepEqual(named(['a b', 'a_b']), { 'a b': 'a_b_2', a_b: 'a_b' })
  t.deepEqual(named(['Id', 'id', 'id_2']), { Id: 'id_3', id: 'id', id_2: 'id_2' })
})

test('a known source name keeps its column name, and a new one cannot take it', (t) => {
  const existing = [column(1, 'id', 'Id')]
  t.deepEqual(named(['id', 'Id'], existing), { id: 'id_2', Id: 'id' })
  const partition: Column = { ...column(2, 'at_day', 'at'), role: 'partition' }
  t.deepEqual(named(['at', 'at_day'], [partition]), { at: 'at', at_day: 'at_day_2' })
})

test("names of Hakiri's own are refused", (t) => {
  for (const source of ['_hakiri_seq', '_Hakiri Seq', '__hakiri__x', '_hakiri']) {
    t.deepEqual(columnNames(['ok', source], []), { kind: 'reserved', source })
  }
  t.is(columnNames(['hakiri_seq'], []).kind, 'named')
})

test('every set of source names gives unique, legal names, independent of order', (t) => {
  const source = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.stringMatching(/^[ aA_b2-]{1,4}$/),
    fc.string({ unit: 'grapheme', minLength: 120, maxLength: 300 }),
  )
  fc.assert(
    fc.property(fc.uniqueArray(source, { maxLength: 12 }), (sources) => {
      const usable = sources.filter((name) => columnNames([name], []).kind === 'named')
      const names = named(usable)
      const values = Object.values(names)
      t.is(new Set(values).size, values.length)
      for (const name of values) {
        t.regex(name, /^[a-z_][a-z0-9_]*$/)
        t.false(name.includes('__'))
        t.true(name.length <= NAME_LENGTH_MAX)
      }
      t.deepEqual(named(usable.toReversed()), names)
    }),
  )
})

test('a name given once stands, however many columns come later', (t) => {
  const sources = fc.uniqueArray(fc.stringMatching(/^[ aA_b2-]{1,5}$/), { maxLength: 10 })
  fc.assert(
    fc.property(sources, sources, (first, second) => {
      const before = named(first)
      const existing = Object.entries(before).map(([source, name], index) =>
        column(index + 1, name, source),
      )
      const after = named([...second, ...first], existing)
      for (const source of first) t.is(after[source], before[source])
      const values = Object.values(after)
      t.is(new Set(values).size, values.length)
    }),
  )
})

test('a long name is cut and stays distinct', (t) => {
  const [a, b] = ['x'.repeat(200) + 'a', 'x'.repeat(200) + 'b']
  const names = named([a, b])
  t.not(names[a], names[b])
  t.is(names[a]?.length, NAME_LENGTH_MAX)
  t.true(variantName('y'.repeat(NAME_LENGTH_MAX), new Set()).length <= NAME_LENGTH_MAX)
})

test('a variant column is called after its base, and gives way to a taken name', (t) => {
  t.is(variantName('price', new Set()), 'price__string')
  t.is(variantName('price', new Set(['price__string'])), 'price__string_2')
})

test('tables are named by pipeline and source table, the default schema left out', (t) => {
  t.is(tableName('shop', 'public.orders'), 'shop.orders')
  t.is(tableName('shop', 'sales.orders'), 'shop.sales_orders')
  t.is(tableName('shop', 'Order Lines'), 'shop.order_lines')
  t.is(tableName('git-hub', 'issues'), 'git-hub.issues')
  t.is(tableName('_quarantine', 'x'), 'p_quarantine.x')
  t.is(tableName('a.b', 'x'), 'a_b.x')
  t.is(tableFolder('shop.orders'), 'shop/orders')
})

test('source tables that want one name are told apart, and known ones keep theirs', (t) => {
  const sources = ['sales.orders', 'public.sales_orders', 'sales_orders']
  t.deepEqual(Object.fromEntries(tableNames('shop', sources)), {
    'sales.orders': 'shop.sales_orders_3',
    'public.sales_orders': 'shop.sales_orders_2',
    sales_orders: 'shop.sales_orders',
  })
  const existing = new Map([['sales.orders', 'shop.sales_orders']])
  t.is(tableNames('shop', sources, existing).get('sales.orders'), 'shop.sales_orders')
  t.is(tableNames('shop', sources, existing).get('sales_orders'), 'shop.sales_orders_2')
})

test('the quarantine of a table has a name and a folder of its own', (t) => {
  t.is(quarantineTable('shop.orders'), '_quarantine.shop.orders')
  t.is(tableFolder('_quarantine.shop.orders'), '_quarantine/shop/orders')
  t.is(quarantineOf('_quarantine.shop.orders'), 'shop.orders')
  t.is(quarantineOf('shop.orders'), undefined)
})

test('log keys hold the version in twenty digits', (t) => {
  const key = 'shop/orders/_delta_log/00000000000000000007.json'
  t.is(logKey('shop.orders', 7), key)
  t.is(logVersion(key), 7)
  t.is(checkpointKey('shop.orders', 7), key.replace('.json', '.checkpoint.parquet'))
  t.is(logVersion(checkpointKey('shop.orders', 7)), undefined)
  t.is(lastCheckpointKey('shop.orders'), 'shop/orders/_delta_log/_last_checkpoint')
})

test('a data file path says where it comes from, its folders as Hive spells them', (t) => {
  const path = dataFilePath({
    partition: { at_day: '2024-05-01', city: 'São Paulo/~*', code: null, _id: 'a/b c=%', x: '%2F' },
    runId: 12,
    shard: 'public.orders:0/8',
    seq: 7,
    index: 0,
    uuid: '6f0c',
  })
  t.is(
    path,
    'at_day=2024-05-01/city=S%C3%A3o%20Paulo%2F%7E%2A/code=__HIVE_DEFAULT_PARTITION__/' +
      '_id=a%2Fb%20c%3D%25/x=%252F/run12-public.orders_3A0_2F8-s7-0-6f0c.parquet',
  )
})

const FILE = { runId: 1, shard: 's', seq: 1, index: 0, uuid: 'u' }
const foldersOf = (partition: { readonly [column: string]: string | null }): readonly string[] =>
  dataFilePath({ partition, ...FILE })
    .split('/')
    .slice(0, -1)

test('any partition value and shard give a legal path, and the folder gives the value back', (t) => {
  fc.assert(
    fc.property(
      fc.option(fc.string({ unit: 'binary', maxLength: 300 }), { nil: null }),
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      fc.uuid(),
      (value, shard, uuid) => {
        const file = { runId: 1, shard, seq: 1, index: 0, uuid }
        const path = dataFilePath({ partition: { _c: value }, ...file })
        t.regex(path, /^([A-Za-z0-9._=/-]|%[0-9A-F]{2})+$/)
        t.true(path.endsWith(`${uuid}.parquet`))
        t.true(isDataPath(path))
        for (const part of path.split('/')) t.true(part.length > 0 && part.length <= 255)
        const folder = path.split('/')[0]!.slice('_c='.length)
        const decoded = decodeURIComponent(folder)
        if (value === null) t.is(folder, '__HIVE_DEFAULT_PARTITION__')
        else if (encodeURIComponent(value).length <= 80) t.is(decoded, value)
      },
    ),
  )
})

test('a value is cut only where a folder could not be called so, and other values then differ', (t) => {
  const fits = 'é'.repeat(42)
  t.is(foldersOf({ c: `${fits}a` })[0], `c=${'%C3%A9'.repeat(42)}a`)
  t.is(foldersOf({ c: `${fits}a` })[0]!.length, 255)
  const cut = foldersOf({ c: `${fits}ab` })[0]!
  t.regex(cut, /^c=(%C3%A9){40}-[0-9a-f]{8}$/)
  t.not(foldersOf({ c: `${fits}ac` })[0], cut)
})

test('of many long values the longest make room, so that a key stays within its limit', (t) => {
  const [a, b, c] = foldersOf({ a: 'x'.repeat(253), b: 'y'.repeat(252), c: 'z' })
  t.regex(a!, /^a=x{31}-[0-9a-f]{8}$/)
  t.is(b, `b=${'y'.repeat(252)}`)
  t.is(c, 'c=z')
  const names = ['p', 'q', 'r'].map((letter) => letter.repeat(127))
  const longest = dataFilePath({
    partition: Object.fromEntries(names.map((name) => [name, '/'.repeat(500)])),
    runId: Number.MAX_SAFE_INTEGER,
    shard: '/'.repeat(99),
    seq: Number.MAX_SAFE_INTEGER,
    index: 999_999,
    uuid: '00000000-0000-4000-8000-000000000000',
  })
  t.true(`${'t'.repeat(127)}/${'u'.repeat(127)}/${longest}`.length <= 900)
})

test('the log is no data, a folder of a column that starts with an underscore is', (t) => {
  for (const path of ['_delta_log/00000000000000000000.json', '_last', '_probe/a=1/x.parquet'])
    t.false(isDataPath(path), path)
  for (const path of ['_id=7/a.parquet', '_2024_day=2024-05-01/a.parquet', 'a.parquet', 'a/_b'])
    t.true(isDataPath(path), path)
})

test('an app id gives its parts back', (t) => {
  const id = appId('3f2a', 'shop', 'public.orders:0/8')
  t.is(id, 'hakiri:3f2a:shop/public.orders:0/8')
  t.deepEqual(parseAppId(id), { catalogId: '3f2a', pipeline: 'shop', shard: 'public.orders:0/8' })
  t.is(parseAppId('spark-app'), undefined)
})
