import { readFile } from 'node:fs/promises'
import test from 'ava'
import fc from 'fast-check'
import type { ColumnType } from '../../lib/column.ts'
import { column, openEncoder, planOf, readRows } from '../../test/support/encoder.ts'
import type { EncoderBench } from '../../test/support/encoder.ts'
import { openParquet } from '../../test/support/delta-parquet.ts'
import type { BatchInput } from '../plan/batch-plan.ts'
import { ROW_BYTES_MAX } from './limits.ts'

let bench: EncoderBench
test.before(async () => {
  bench = await openEncoder()
})
test.after.always(async () => bench[Symbol.asyncDispose]())

type Columns = readonly ReturnType<typeof column>[]

async function csvInput(columns: Columns, text: string | Uint8Array): Promise<BatchInput> {
  const announced = columns.map((item) => ({ ...item, name: item.source }))
  return { format: 'csv', path: await bench.file(text), columns: announced }
}

async function encodeText(columns: Columns, text: string | Uint8Array) {
  const outcome = await bench.encode(await csvInput(columns, text), planOf(columns))
  if (outcome.kind !== 'encoded') throw new Error(`misfit in ${outcome.columns.join()}`)
  const rows = outcome.files[0] ? await readRows(outcome.files[0], columns) : []
  return { ...outcome, read: rows }
}

const ALL: Columns = (
  [
    'boolean',
    'short',
    'integer',
    'long',
    'float',
    'double',
    'string',
    'binary',
    'date',
    'timestamp',
    'decimal(38,10)',
  ] as const
).map((type, index) => column(index + 1, `c ${type}`, type, `c${index}`))

test('values of every type come back as they were sent, nulls and empty text apart', async (t) => {
  const text =
    't,-32768,2147483647,9223372036854775807,0.1,1e+300,"a ""b"", \u00e9\n\u{1f600}",\\x00ff,9999-12-31,' +
    '9999-12-31 23:59:59.999999+00,-1234567890123456789012345678.0123456789\n' +
    'f,0,-1,-9223372036854775808,NaN,-Infinity,"",\\x,0044-03-15 BC,0001-01-01 00:00:00+00,0.5\n' +
    ',,,,,,,,,,\n'
  const { read } = await encodeText(ALL, text)
  t.deepEqual(read.map(Object.values), [
    [
      true,
      -32768,
      2147483647,
      9223372036854775807n,
      Math.fround(0.1),
      1e300,
      'a "b", \u00e9\n\u{1f600}',
      '\\x00ff',
      2932896,
      253402300799999999n,
      '-1234567890123456789012345678.0123456789',
    ],
    [
      false,
      0,
      -1,
      -9223372036854775808n,
      NaN,
      -Infinity,
      '',
      '\\x',
      -735160,
      -62135596800000000n,
      '0.5000000000',
    ],
    Array.from(ALL, () => null),
  ])
})

test('a file has one row group, the table field ids, and the types of the table format', async (t) => {
  const columns = ALL.map((item, index) => ({ ...item, id: index * 7 + 3 }))
  const input = await csvInput(columns, `${','.repeat(columns.length - 1)}\n`)
  const outcome = await bench.encode(input, planOf(columns))
  if (outcome.kind !== 'encoded') return t.fail()
  const bytes = await readFile(outcome.files[0]!.localPath)
  t.is(bytes.length, outcome.files[0]!.bytes)
  const parquet = await openParquet(bytes)
  t.is(parquet.rowGroups, 1)
  t.deepEqual(
    parquet.columns.map((item) => [item.field_id, item.type, item.converted_type ?? null]),
    [
      [3, 'BOOLEAN', null],
      [10, 'INT32', 'INT_16'],
      [17, 'INT32', 'INT_32'],
      [24, 'INT64', 'INT_64'],
      [31, 'FLOAT', null],
      [38, 'DOUBLE', null],
      [45, 'BYTE_ARRAY', 'UTF8'],
      [52, 'BYTE_ARRAY', null],
      [59, 'INT32', 'DATE'],
      [66, 'INT64', 'TIMESTAMP_MICROS'],
      [73, 'FIXED_LEN_BYTE_ARRAY', 'DECIMAL'],
    ],
  )
  const instant = parquet.columns[9]!.logical_type
  t.like(instant, { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' })
  const pages = parquet.metadata.row_groups[0]!.columns.map((item) => item.meta_data!.codec)
  t.true(pages.every((codec) => codec === 'ZSTD'))
})

const csvField = (value: string | null): string =>
  value === null ? '' : `"${value.replaceAll('"', '""')}"`

test('random rows come back equal', async (t) => {
  const text = fc.option(fc.string({ unit: 'binary', maxLength: 20 }), { nil: null })
  const row = fc.record({
    text,
    long: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { nil: null }),
    double: fc.option(fc.double(), { nil: null }),
    cents: fc.option(fc.bigInt({ min: -(10n ** 11n), max: 10n ** 11n }), { nil: null }),
    micros: fc.option(fc.bigInt({ min: 0n, max: 4_000_000_000_000_000n }), { nil: null }),
    bytes: fc.option(fc.uint8Array({ maxLength: 9 }), { nil: null }),
  })
  const columns = [
    column(1, 'text', 'string'),
    column(2, 'long', 'long'),
    column(3, 'double', 'double'),
    column(4, 'cents', 'decimal(14,2)'),
    column(5, 'micros', 'timestamp'),
    column(6, 'bytes', 'binary'),
  ]
  const instant = (micros: bigint): string =>
    `${new Date(Number(micros / 1000n)).toISOString().slice(0, 23).replace('T', ' ')}` +
    `${String(micros % 1000n).padStart(3, '0')}+00`
  const money = (cents: bigint): string => {
    const digits = String(cents < 0n ? -cents : cents).padStart(3, '0')
    return `${cents < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
  }
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 40 }), async (rows) => {
      const lines = rows.map((item) =>
        [
          csvField(item.text),
          item.long ?? '',
          Object.is(item.double, -0) ? '-0' : (item.double ?? ''),
          item.cents === null ? '' : money(item.cents),
          item.micros === null ? '' : instant(item.micros),
          item.bytes === null ? '' : `\\x${Buffer.from(item.bytes).toString('hex')}`,
        ].join(','),
      )
      const { read, rejected } = await encodeText(
        columns,
        lines.map((line) => `${line}\n`).join(''),
      )
      t.deepEqual(rejected, [])
      t.deepEqual(
        read,
        rows.map((item) => ({
          ...item,
          cents: item.cents === null ? null : money(item.cents),
          bytes: item.bytes === null ? null : `\\x${Buffer.from(item.bytes).toString('hex')}`,
        })),
      )
    }),
    { numRuns: 40 },
  )
})

const MISFITS: readonly (readonly [type: ColumnType, values: readonly string[]])[] = [
  ['long', ['1.5', ' 1', '1e3', '007', '1_0', '9223372036854775808', '0x1F', 'abc']],
  ['short', ['32768']],
  ['decimal(5,2)', ['1.555', '1000', 'NaN', 'Infinity', '1_0']],
  ['double', ['9007199254740993', '1e999', '1_0', 'abc']],
  ['float', ['16777217', '1e39']],
  ['boolean', ['1', 'yes', '2']],
  ['date', ['infinity', '-infinity', '2024-02-30', '2024/01/01', 'today']],
  [
    'timestamp',
    ['infinity', '-infinity', '2024-01-01 00:00:00.1234567+00', 'now', '300000-01-01 00:00:00+00'],
  ],
  ['binary', ['abc', '\\xabc', '\\xzz']],
]

test('a value that does not fit is never written by value: its column is named, nothing is left', async (t) => {
  for (const [type, values] of MISFITS) {
    const columns = [column(1, 'ok', 'string'), column(2, 'Odd Name', type, 'odd')]
    for (const value of values) {
      const input = await csvInput(columns, `a,\nb,"${value}"\nc,\n`)
      const outcome = await bench.encode(input, planOf(columns))
      t.deepEqual(outcome, { kind: 'misfit', columns: ['Odd Name'] }, `${type} ${value}`)
    }
  }
})

test('fitting and misfit together keep each value once', async (t) => {
  for (const [type, values] of MISFITS) {
    const columns = [column(1, 'v', type), column(2, 'v', 'string', 'v__string')]
    const input = await csvInput(
      [columns[0]!],
      [...values, ''].map((v) => `${v && `"${v}"`}\n`).join(''),
    )
    const outcome = await bench.encode(
      input,
      planOf([], {
        outputs: [
          { column: columns[0]!, input: 'v', take: 'fitting', fits: type },
          { column: columns[1]!, input: 'v', take: 'misfit', fits: type },
        ],
      }),
    )
    if (outcome.kind !== 'encoded') return t.fail(type)
    t.deepEqual(await readRows(outcome.files[0]!, columns), [
      ...values.map((value) => ({ v: null, v__string: value })),
      { v: null, v__string: null },
    ])
  }
})

test('naive time is UTC, an offset is honoured, an era kept', async (t) => {
  const columns = [column(1, 'at', 'timestamp')]
  const { read } = await encodeText(
    columns,
    '2024-06-01 10:00:00.123456\n2024-06-01 10:00:00+05:30\n2024-06-01T10:00:00Z\n' +
      '0044-03-15 10:00:00+00 BC\n1500-01-01 00:00:00\n',
  )
  t.deepEqual(
    read.map(({ at }) => at),
    [
      1717236000123456n,
      1717216200000000n,
      1717236000000000n,
      -63517788000000000n,
      -14831769600000000n,
    ],
  )
})

test('rows that cannot be read are rejected with their text and a reason, the others written', async (t) => {
  const columns = [column(1, 'a', 'string'), column(2, 'b', 'long')]
  const bad = Buffer.concat([
    Buffer.from('x,1\nshort\ny,2,3\n"z"z,4\n'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from(',5\n\n"open,6\nlast,7\n'),
  ])
  const { read, rejected } = await encodeText(columns, bad)
  t.deepEqual(read, [
    { a: 'x', b: 1n },
    { a: 'last', b: 7n },
  ])
  t.deepEqual(rejected, [
    { reason: 'expected 2 fields, found 1', raw: 'short' },
    { reason: 'expected 2 fields, found 3', raw: 'y,2,3' },
    { reason: 'a quote is misplaced', raw: '"z"z,4' },
    { reason: 'invalid UTF-8', raw: '\\xff\\xfe,5' },
    { reason: 'expected 2 fields, found 0', raw: '' },
    { reason: 'a quote is misplaced or not closed', raw: '"open,6' },
  ])
})

test('a quote that is never closed does not swallow the rows behind it', async (t) => {
  const columns = [column(1, 'a', 'string'), column(2, 'b', 'long')]
  const { read, rejected } = await encodeText(columns, 'x,1\n"open,2\ny,3\n')
  t.deepEqual(
    read.map(({ a }) => a),
    ['x', 'y'],
  )
  t.is(rejected.length, 1)
})

test('line ends inside quotes, carriage returns and a byte order mark in the first value are data', async (t) => {
  const columns = [column(1, 'a', 'string'), column(2, 'b', 'long')]
  const { read } = await encodeText(columns, '"one\r\ntwo",1\n"cr\ronly",2\n')
  t.deepEqual(
    read.map(({ a }) => a),
    ['one\r\ntwo', 'cr\ronly'],
  )
  const marked = await encodeText(columns, '\ufefffirst,1\n\ufeffsecond,2\n')
  t.deepEqual(
    marked.read.map(({ a }) => a),
    ['\ufefffirst', '\ufeffsecond'],
  )
})

test('a table of one column keeps null, empty text and blank apart', async (t) => {
  const { read } = await encodeText([column(1, 'a', 'string')], 'x\n\n""\n" "\n\n')
  t.deepEqual(
    read.map(({ a }) => a),
    ['x', null, '', ' ', null],
  )
})

test('cells of 10 MB are written; a row above the limit is rejected and cut in the report', async (t) => {
  const columns = [column(1, 'a', 'string'), column(2, 'b', 'long')]
  const big = 'z\u00e9'.repeat(3_500_000)
  const { read } = await encodeText(columns, `x,1\n${big},2\n"${big}",3\ny,4\n`)
  t.deepEqual(
    read.map(({ a, b }) => [String(a).length, b, a === big]),
    [
      [1, 1n, false],
      [big.length, 2n, true],
      [big.length, 3n, true],
      [1, 4n, false],
    ],
  )
  const huge = await encodeText(columns, `x,1\n${'h'.repeat(ROW_BYTES_MAX)},2\ny,3\n`)
  t.deepEqual(
    huge.read.map(({ a }) => a),
    ['x', 'y'],
  )
  t.regex(huge.rejected[0]!.reason, /^row of 33554434 bytes, at most 33554432$/)
  t.true(huge.rejected[0]!.raw.length < 70_000)
})

test('2 000 columns', async (t) => {
  const columns = Array.from({ length: 2_000 }, (_, index) =>
    column(index + 1, `Col ${index}`, index % 2 === 0 ? 'long' : 'string', `col_${index}`),
  )
  const line = columns.map((_, index) => (index % 2 === 0 ? index : `t${index}`)).join(',')
  const { files, read } = await encodeText(columns, `${line}\n`.repeat(20))
  t.is(read.length, 20)
  t.is(read[19]!['col_1998'], 1998n)
  t.is(read[19]!['col_1999'], 't1999')
  t.is(Object.keys((JSON.parse(files[0]!.stats) as { nullCount: object }).nullCount).length, 32)
})

test('an empty batch gives no file', async (t) => {
  const { files, rows, rejected } = await encodeText([column(1, 'a', 'string')], '')
  t.deepEqual({ files, rows, rejected }, { files: [], rows: 0, rejected: [] })
})

test('rows the source counted and the file lacks are an error, not a smaller table', async (t) => {
  const columns = [column(1, 'a', 'string')]
  const input = { ...(await csvInput(columns, 'x\ny\n')), rows: 3 } as BatchInput
  await t.throwsAsync(bench.encode(input, planOf(columns)), {
    code: 'ENCODE_FAILED',
    message: /3 rows, but 2/,
  } as object)
})

test('statistics bound the values and count nulls; what has no order is left out', async (t) => {
  const columns = [
    column(1, 'n', 'decimal(20,2)'),
    column(2, 'at', 'timestamp'),
    column(3, 'text', 'string'),
    { ...column(4, 'doc', 'string'), semantic: 'json' as const },
    column(5, 'd', 'double'),
    column(6, 'f', 'float'),
    column(7, 'day', 'date'),
  ]
  const { files } = await encodeText(
    columns,
    `3.10,2024-01-01 00:00:00.000001+00,${'b'.repeat(40)},{},NaN,0.1,2024-01-31\n` +
      '-123456789012345678.25,2024-01-01 00:00:00.000999+00,"",[],1,-1e10,2023-12-01\n,,,,,,\n',
  )
  t.is(
    files[0]!.stats,
    '{"numRecords":3,"minValues":{"n":-123456789012345678.25,"at":"2024-01-01T00:00:00.000Z",' +
      '"text":"","f":-10000000000,"day":"2023-12-01"},"maxValues":{"n":3.10,"at":"2024-01-01T00:00:00.001Z","text":"' +
      `${'b'.repeat(31)}c","f":0.10000000149011612,"day":"2024-01-31"},` +
      '"nullCount":{"n":1,"at":1,"text":1,"doc":1,"d":1,"f":1,"day":1}}',
  )
})
