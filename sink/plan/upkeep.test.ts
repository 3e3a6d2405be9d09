import test from 'ava'
import fc from 'fast-check'
import type { LiveFile, RemovedFile } from '../../catalog/catalog.ts'
import type { ColumnType } from '../../lib/column.ts'
import { parseExactJson } from '../../test/support/delta-values.ts'
import { planCompaction, planOrphans, planVacuum, type CompactionGroup } from './compact.ts'
import { statsJson, STATS_COLUMNS_MAX, type ColumnStats } from './stats.ts'
import { keepsEveryValue, keepsMostValues, parseColumnType } from './types.ts'

// ── Types ─────────────────────────────────────────────────────────────────────────────────────────

test('a type keeps every value of another only where nothing can be lost', (t) => {
  const yes: readonly [ColumnType, ColumnType][] = [
    ['short', 'integer'],
    ['integer', 'long'],
    ['integer', 'double'],
    ['short', 'float'],
    ['float', 'double'],
    ['long', 'decimal(19,0)'],
    ['integer', 'decimal(12,2)'],
    ['decimal(10,2)', 'decimal(12,3)'],
    ['decimal(18,0)', 'long'],
    ['decimal(9,0)', 'integer'],
    ['binary', 'string'],
    ['timestamp', 'string'],
  ]
  const no: readonly [ColumnType, ColumnType][] = [
    ['long', 'double'],
    ['long', 'integer'],
    ['integer', 'float'],
    ['double', 'float'],
    ['double', 'long'],
    ['long', 'decimal(20,2)'],
    ['decimal(10,2)', 'decimal(10,3)'],
    ['decimal(19,0)', 'long'],
    ['decimal(5,1)', 'long'],
    ['decimal(5,1)', 'double'],
    ['string', 'long'],
    ['date', 'timestamp'],
    ['timestamp', 'date'],
    ['boolean', 'long'],
    ['string', 'binary'],
  ]
  for (const [from, to] of yes) t.true(keepsEveryValue(from, to), `${from} → ${to}`)
  for (const [from, to] of no) t.false(keepsEveryValue(from, to), `${from} → ${to}`)
})

test('numbers are worth trying in a column of another number type, nothing else is', (t) => {
  t.true(keepsMostValues('long', 'double'))
  t.true(keepsMostValues('long', 'short'))
  t.true(keepsMostValues('long', 'decimal(10,2)'))
  t.true(keepsMostValues('decimal(14,2)', 'decimal(12,2)'))
  t.false(keepsMostValues('double', 'long'))
  t.false(keepsMostValues('decimal(14,2)', 'long'))
  t.false(keepsMostValues('string', 'long'))
  t.false(keepsMostValues('date', 'timestamp'))
})

test('a column type is read from text, and nothing else is', (t) => {
  t.is(parseColumnType('decimal(10, 2)'), 'decimal(10,2)')
  t.is(parseColumnType('timestamp'), 'timestamp')
  for (const text of ['int', 'decimal(39,0)', 'decimal(4,5)', 'decimal(0,0)', 'Decimal(4,2)', '']) {
    t.is(parseColumnType(text), undefined, text)
  }
})

// ── Statistics ────────────────────────────────────────────────────────────────────────────────────

type Bound = { readonly c?: string | number }

function bounds(type: ColumnType, min: string, max: string) {
  const text = statsJson(3, [{ name: 'c', type, nullCount: 0, min, max }])
  const stats = JSON.parse(text) as { minValues: Bound; maxValues: Bound }
  return { text, min: stats.minValues.c, max: stats.maxValues.c }
}

test('statistics hold rows, bounds and null counts, and every digit', (t) => {
  const columns: readonly ColumnStats[] = [
    {
      name: 'id',
      type: 'long',
      nullCount: 0,
      min: '-9223372036854775808',
      max: '9007199254740993',
    },
    { name: 'p', type: 'decimal(38,2)', nullCount: 1, min: '0.10', max: '99999999999999999999.05' },
    {
      name: 'at',
      type: 'timestamp',
      nullCount: 0,
      min: '1714567890123456',
      max: '1714567890123456',
    },
    { name: 'none', type: 'string', nullCount: 3, min: undefined, max: undefined },
    { name: 'raw', type: 'binary', nullCount: 0, min: 'x', max: 'y' },
    { name: 'd', type: 'date', nullCount: 0, min: '0001-01-01', max: '9999-12-31' },
  ]
  t.is(
    statsJson(3, columns),
    '{"numRecords":3,' +
      '"minValues":{"id":-9223372036854775808,"p":0.10,"at":"2024-05-01T12:51:30.123Z","d":"0001-01-01"},' +
      '"maxValues":{"id":9007199254740993,"p":99999999999999999999.05,"at":"2024-05-01T12:51:30.124Z","d":"9999-12-31"},' +
      '"nullCount":{"id":0,"p":1,"at":0,"none":3,"raw":0,"d":0}}',
  )
})

test('only the first columns have statistics', (t) => {
  const many = Array.from({ length: 40 }, (_, index): ColumnStats => ({
    name: `c${index}`,
    type: 'long',
    nullCount: 0,
    min: '1',
    max: '2',
  }))
  const stats = JSON.parse(statsJson(1, many)) as { nullCount: object; minValues: object }
  t.is(Object.keys(stats.nullCount).length, STATS_COLUMNS_MAX)
  t.is(Object.keys(stats.minValues).length, STATS_COLUMNS_MAX)
})

test('NaN, infinities and what is no number give no bounds at all', (t) => {
  for (const max of ['nan', 'NaN', 'inf', 'Infinity', '-inf', '', '1_000']) {
    t.deepEqual(
      [bounds('double', '1.5', max).min, bounds('double', '1.5', max).max],
      [undefined, undefined],
      max,
    )
  }
  t.is(bounds('double', '1e+20', '1.5E300').max, 1.5e300)
  t.regex(
    bounds('double', '0.0', '-0.0').text,
    /"minValues":\{"c":-0\.0\},"maxValues":\{"c":0\.0\}/,
  )
  t.is(bounds('long', '1.5', '2').min, undefined)
})

test('bounds of text enclose it in the order of UTF-8 bytes', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (tail) => {
      for (const value of [tail, 'a'.repeat(31) + tail, '\u{10ffff}'.repeat(31) + tail]) {
        const { min, max } = bounds('string', value, value)
        t.true(Buffer.compare(Buffer.from(String(min)), Buffer.from(value)) <= 0)
        t.true(Array.from(String(min)).length <= 32)
        if (max === undefined) continue
        t.true(Buffer.compare(Buffer.from(String(max)), Buffer.from(value)) >= 0)
        t.true(Array.from(String(max)).length <= 32)
      }
    }),
  )
  t.is(bounds('string', 'x', '\u{10ffff}'.repeat(40)).max, undefined)
  t.is(bounds('string', 'x', 'a'.repeat(31) + '\u{d7ff}z').max, 'a'.repeat(31) + '\u{e000}')
})

test('bounds of timestamps enclose them, to the millisecond, from year 1 to 9999', (t) => {
  const micros = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_000n })
  fc.assert(
    fc.property(micros, (time) => {
      const { min, max } = bounds('timestamp', String(time), String(time))
      const [low, high] = [Date.parse(String(min)), Date.parse(String(max))]
      t.is(new Date(low).toISOString(), String(min))
      t.true(BigInt(low) * 1_000n <= time && time - BigInt(low) * 1_000n < 1_000n)
      t.true(BigInt(high) * 1_000n >= time && BigInt(high) * 1_000n - time < 1_000n)
    }),
  )
  const late = bounds('timestamp', '0', '253402300800000000')
  t.deepEqual([late.min, late.max], ['1970-01-01T00:00:00.000Z', undefined])
  t.is(bounds('date', '0044-03-15 (BC)', '2024-01-01').max, undefined)
})

test('whole numbers of any size are written as they are', (t) => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 127n), max: 2n ** 127n }), (number) => {
      const { text } = bounds('decimal(38,0)', String(number), String(number))
      t.true(text.includes(`"maxValues":{"c":${number}}`))
      t.notThrows(() => parseExactJson(text))
    }),
  )
})

// ── Compaction ────────────────────────────────────────────────────────────────────────────────────

const file = (version: number, bytes: number, day: string | null = null): LiveFile => ({
  path: `f${version}-${bytes}.parquet`,
  bytes,
  rows: bytes,
  stats: '',
  partition: { day },
  schemaRevision: 1,
  generation: 1,
  version,
  pipeline: 'p',
  shard: 's',
})

const OPTIONS = { targetBytes: 1_000, minFiles: 4 }
const files = fc
  .array(
    fc.record({ bytes: fc.integer({ min: 1, max: 1_500 }), day: fc.constantFrom('a', 'b', null) }),
    {
      maxLength: 60,
    },
  )
  .map((list) => list.map(({ bytes, day }, version) => file(version, bytes, day)))
const options = fc.record({
  targetBytes: fc.integer({ min: 1, max: 3_000 }),
  minFiles: fc.integer({ min: 2, max: 8 }),
  filesMax: fc.integer({ min: 8, max: 20 }),
})

/** What is live after each group became one file. */
function rewrite(
  live: readonly LiveFile[],
  groups: readonly CompactionGroup[],
): readonly LiveFile[] {
  const gone = new Set(groups.flatMap((group) => group.files))
  const version = Math.max(0, ...live.map((item) => item.version)) + 1
  const added = groups.map((group, index): LiveFile => ({
    ...file(version, group.bytes),
    path: `c${version}-${index}.parquet`,
    partition: group.partition,
    rows: group.rows,
  }))
  return [...live.filter((item) => !gone.has(item)), ...added]
}

test('groups are disjoint, of one partition, in log order, within the target and worth it', (t) => {
  fc.assert(
    fc.property(files, options, (live, chosen) => {
      const groups = planCompaction(live, chosen)
      const members = groups.flatMap((group) => group.files)
      t.is(new Set(members).size, members.length)
      for (const group of groups) {
        t.true(group.files.every((item) => live.includes(item)))
        t.is(new Set(group.files.map((item) => item.partition['day'])).size, 1)
        t.deepEqual(
          group.files.map((item) => item.version),
          group.files.map((item) => item.version).toSorted((a, b) => a - b),
        )
        t.is(
          group.bytes,
          group.files.reduce((sum, item) => sum + item.bytes, 0),
        )
        t.true(group.bytes <= chosen.targetBytes)
        t.true(group.files.length >= chosen.minFiles && group.files.length <= chosen.filesMax)
        t.true(Math.max(...group.files.map((item) => item.bytes)) * 2 <= group.bytes)
      }
      t.deepEqual(planCompaction(live.toReversed(), chosen), groups)
    }),
  )
})

test('rewriting ends, loses no row, and a settled table stays settled', (t) => {
  fc.assert(
    fc.property(files, options, (start, chosen) => {
      const rows = (live: readonly LiveFile[]) => live.reduce((sum, item) => sum + item.rows, 0)
      let live: readonly LiveFile[] = start
      for (let round = 0; ; round++) {
        t.true(round <= start.length)
        const groups = planCompaction(live, chosen)
        if (groups.length === 0) break
        const next = rewrite(live, groups)
        t.true(next.length < live.length)
        t.is(rows(next), rows(start))
        live = next
      }
      t.deepEqual(planCompaction(live, chosen), [])
    }),
  )
})

test('many small files become one; too few, large and foreign ones are left', (t) => {
  const small = [1, 2, 3, 4].map((version) => file(version, 10))
  t.deepEqual(
    planCompaction(small, OPTIONS).map((group) => group.files),
    [small],
  )
  t.deepEqual(planCompaction(small.slice(1), OPTIONS), [])
  t.deepEqual(
    planCompaction(
      [1, 2, 3, 4].map((version) => file(version, 1_000)),
      OPTIONS,
    ),
    [],
  )
  t.deepEqual(planCompaction(small, { ...OPTIONS, generation: 2 }), [])
  const apart = small.map((item, index) => ({ ...item, partition: { day: index < 2 ? 'a' : 'b' } }))
  t.deepEqual(planCompaction(apart, OPTIONS), [])
})

test('a row is rewritten a logarithmic number of times while small files keep coming', (t) => {
  let live: readonly LiveFile[] = []
  let rewritten = 0
  for (let version = 0; version < 2_000; version++) {
    live = [...live, file(version * 10, 10)]
    const groups = planCompaction(live, { targetBytes: 100_000, minFiles: 8 })
    rewritten += groups.reduce((sum, group) => sum + group.bytes, 0)
    live = rewrite(live, groups)
  }
  t.true(rewritten / 20_000 < 12, `each byte was rewritten ${rewritten / 20_000} times`)
  t.true(live.length < 60, `${live.length} files are left`)
})

test('vacuum takes tombstones that are old enough and no other', (t) => {
  const tombstone = (path: string, removedAt: number): RemovedFile => ({
    path,
    bytes: 1,
    partition: {},
    version: 1,
    removedAt,
  })
  const tombstones = [tombstone('b', 100), tombstone('a', 50), tombstone('c', 101)]
  t.deepEqual(planVacuum(tombstones, 1_000, 1_100), ['a', 'b'])
})

test('orphans are old data files that nobody knows, never the log', (t) => {
  const listed = [
    { path: 'old.parquet', modifiedAt: 0 },
    { path: 'day=1/old.parquet', modifiedAt: 0 },
    { path: 'known.parquet', modifiedAt: 0 },
    { path: 'young.parquet', modifiedAt: 901 },
    { path: '_delta_log/00000000000000000000.checkpoint.parquet', modifiedAt: 0 },
    { path: 'notes.txt', modifiedAt: 0 },
  ]
  t.deepEqual(planOrphans(listed, new Set(['known.parquet']), 100, 1_000), [
    'old.parquet',
    'day=1/old.parquet',
  ])
})
