import test from 'ava'
import fc from 'fast-check'
import {
  column,
  columnsOf,
  never,
  openEncoder,
  planOf,
  readRows,
} from '../../test/support/encoder.ts'
import type { EncoderBench, Row } from '../../test/support/encoder.ts'
import type { ObservedColumn, OutputColumn } from '../plan/batch-plan.ts'
import type { RejectedRow } from './encoder.ts'
import { FIELDS_MAX } from './scan-ndjson.ts'

let bench: EncoderBench
test.before(async () => {
  bench = await openEncoder()
})
test.after.always(async () => bench[Symbol.asyncDispose]())

type Landed = {
  readonly observed: readonly ObservedColumn[]
  /** By source name. */
  readonly rows: readonly Row[]
  readonly rejected: readonly RejectedRow[]
}

/** Inspects and encodes with every column as it was observed. */
async function land(text: string | Uint8Array): Promise<Landed> {
  const input = { format: 'ndjson', path: await bench.file(text) } as const
  const observed = await bench.encoder.inspect(input, never)
  const columns = columnsOf(observed)
  const outcome = await bench.encode(input, planOf(columns))
  if (outcome.kind !== 'encoded') throw new Error(`misfit in ${outcome.columns.join()}`)
  const read = outcome.files[0] ? await readRows(outcome.files[0], columns) : []
  const rows = read.map((row) =>
    Object.fromEntries(columns.map(({ name, source }) => [source, row[name]])),
  )
  return { observed, rows, rejected: outcome.rejected }
}

const lines = (...rows: readonly unknown[]): string =>
  rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join('')

const typesOf = (observed: readonly ObservedColumn[]): Record<string, string> =>
  Object.fromEntries(
    observed.map(({ name, type, semantic, empty }) => [
      name,
      [type, semantic, empty ? 'empty' : ''].filter((part) => part).join(' '),
    ]),
  )

test('every row is looked at: types, nested values, columns that only the last row has', async (t) => {
  const many = Array.from({ length: 3_000 }, (_, id) => ({ id, ok: true, n: null }))
  const { observed, rows } = await land(
    lines(
      ...many,
      '{"id":1.5,"late":{"a": [1, 2]},"day":"2024-01-01","uuid":"0b2e7a54-0000-4000-8000-000000000000"}',
    ),
  )
  t.deepEqual(typesOf(observed), {
    id: 'double',
    ok: 'boolean',
    n: 'string empty',
    late: 'string json',
    day: 'string',
    uuid: 'string',
  })
  t.is(rows.length, 3_001)
  t.deepEqual(rows[3_000], {
    id: 1.5,
    ok: null,
    n: null,
    late: '{"a":[1,2]}',
    day: '2024-01-01',
    uuid: '0b2e7a54-0000-4000-8000-000000000000',
  })
})

test('numbers keep every digit: long, decimal beyond 64 bits, double, else text', async (t) => {
  const { observed, rows } = await land(
    lines(
      '{"long":9223372036854775807,"big":18446744073709551615,"huge":123456789012345678901234567890123456789,"mix":9007199254740993,"sci":1e3,"neg":-0.5}',
      '{"long":-9223372036854775808,"big":99999999999999999999999999999999999999,"huge":1,"mix":0.5,"sci":1E-3,"neg":7}',
    ),
  )
  t.deepEqual(typesOf(observed), {
    long: 'long',
    big: 'decimal(38,0)',
    huge: 'string',
    mix: 'string',
    sci: 'double',
    neg: 'double',
  })
  t.deepEqual(rows, [
    {
      long: 9223372036854775807n,
      big: '18446744073709551615',
      huge: '123456789012345678901234567890123456789',
      mix: '9007199254740993',
      sci: 1000,
      neg: -0.5,
    },
    {
      long: -9223372036854775808n,
      big: '99999999999999999999999999999999999999',
      huge: '1',
      mix: '0.5',
      sci: 0.001,
      neg: 7,
    },
  ])
})

test('what else the values fit is said, so that a narrower table column can take them', async (t) => {
  const { observed } = await land(
    lines({ small: 1, large: 5_000_000_000, wide: 1 }, '{"wide":9007199254740993}'),
  )
  t.deepEqual(
    observed.map(({ name, alsoFits }) => [name, alsoFits ?? []]),
    [
      ['small', ['integer', 'double']],
      ['large', ['double']],
      ['wide', []],
    ],
  )
})

test('mixed kinds become text: strings bare, the rest as JSON', async (t) => {
  const { observed, rows } = await land(
    lines({ v: 'a "b"' }, { v: 12 }, { v: true }, { v: { a: 1 } }, { v: [1, 'x'] }, { v: null }),
  )
  t.deepEqual(typesOf(observed), { v: 'string' })
  t.is(observed[0]!.sourceType, 'boolean or integer or string or object')
  t.deepEqual(
    rows.map(({ v }) => v),
    ['a "b"', '12', 'true', '{"a":1}', '[1,"x"]', null],
  )
})

test('names that differ in case only, odd names and an empty name stay apart', async (t) => {
  const row = { Id: 1, id: 'two', ID: [3], 'a/b~c': true, '': 'none', 'x"y\'z': 1.5, 'ü €': null }
  const { rows, observed } = await land(lines(row, { id: 'only' }))
  t.deepEqual(rows, [
    {
      Id: 1n,
      id: 'two',
      ID: '[3]',
      'a/b~c': true,
      '': 'none',
      'x"y\'z': 1.5,
      'ü €': null,
    },
    { Id: null, id: 'only', ID: null, 'a/b~c': null, '': null, 'x"y\'z': null, 'ü €': null },
  ])
  t.is(observed.length, 7)
})

test('rows that are no plain object are rejected by name, the others keep their values', async (t) => {
  const bad = Buffer.concat([
    Buffer.from(
      lines(
        '{"a":1}',
        '{"a":1,"a":2}',
        '{"a":',
        '[1]',
        '5',
        '',
        '   ',
        '{"a":2} {"a":3}',
        '{"a":NaN}',
        '{"a":{"b":tru}}',
        '{"b":"\\ud800"}',
        '{"\\u0061":4}',
      ),
    ),
    Buffer.from('{"c":"'),
    Buffer.from([0xff]),
    Buffer.from('"}\n{"a":5}'),
  ])
  const { rows, rejected } = await land(bad)
  t.deepEqual(
    rows.map(({ a }) => a),
    [1n, 4n, 5n],
  )
  t.deepEqual(rejected, [
    { reason: 'field "a" appears twice', raw: '{"a":1,"a":2}' },
    { reason: 'malformed JSON', raw: '{"a":' },
    { reason: 'not a JSON object', raw: '[1]' },
    { reason: 'not a JSON object', raw: '5' },
    { reason: 'malformed JSON', raw: '{"a":2} {"a":3}' },
    { reason: 'malformed JSON', raw: '{"a":NaN}' },
    { reason: 'malformed JSON', raw: '{"a":{"b":tru}}' },
    { reason: 'malformed JSON', raw: '{"b":"\\ud800"}' },
    { reason: 'invalid UTF-8', raw: '{"c":"\\xff"}' },
  ])
})

test('a fault that only the engine sees is found when the batch is written', async (t) => {
  const { rows, rejected } = await land(lines({ a: 1 }, '{"a":2,"n":{"x":01}}', { a: 3 }))
  t.deepEqual(
    rows.map(({ a }) => a),
    [1n, 3n],
  )
  t.deepEqual(rejected, [{ reason: 'malformed JSON', raw: '{"a":2,"n":{"x":01}}' }])
})

test('random objects come back equal', async (t) => {
  const value = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 3 }),
    fc.dictionary(fc.string(), fc.boolean(), { maxKeys: 3 }),
  )
  const name = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 4 })
    .filter((text) => !text.includes('\0'))
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.dictionary(name, value, { maxKeys: 5, noNullPrototype: true }), {
        minLength: 1,
        maxLength: 20,
      }),
      async (objects) => {
        const { rows, observed, rejected } = await land(lines({ first: 1 }, ...objects))
        t.deepEqual(rejected, [])
        t.is(rows.length, objects.length + 1)
        for (const [index, object] of objects.entries()) {
          for (const { name: key, type, semantic } of observed) {
            const sent = Object.hasOwn(object, key) ? object[key] : null
            t.deepEqual(
              back(rows[index + 1]![key], type, semantic, sent),
              normal(sent),
              JSON.stringify({ key, type }),
            )
          }
        }
      },
    ),
    { numRuns: 60 },
  )
})

/** What was read, in the form in which it was sent. */
function back(read: unknown, type: string, semantic: string | undefined, sent: unknown): unknown {
  if (read === null) return null
  const isText = semantic === 'json' || (type === 'string' && typeof sent !== 'string')
  if (isText && typeof read === 'string') return JSON.parse(read) as unknown
  if (typeof read === 'bigint' || type.startsWith('decimal')) return Number(read)
  return read
}

/** JSON has no negative zero that all parsers keep. */
function normal(sent: unknown): unknown {
  return Object.is(sent, -0) ? 0 : sent
}

test('types of the table: what fits goes there, the rest beside it as text', async (t) => {
  const input = {
    format: 'ndjson',
    path: await bench.file(
      lines(
        { v: 12, at: '2024-01-01T00:00:00Z', ok: true },
        { v: '13', at: 'yesterday', ok: 'true' },
        { v: 1.5, at: 5, ok: 't' },
        { v: { a: 1 }, at: null, ok: 1 },
      ),
    ),
  } as const
  await bench.encoder.inspect(input, never)
  const pairs = [column(1, 'v', 'long'), column(3, 'at', 'timestamp'), column(5, 'ok', 'boolean')]
  const outputs = pairs.flatMap((typed): readonly OutputColumn[] => [
    { column: typed, input: typed.source, take: 'fitting', fits: typed.type },
    {
      column: column(typed.id + 1, typed.source, 'string', `${typed.name}__string`),
      input: typed.source,
      take: 'misfit',
      fits: typed.type,
    },
  ])
  const byValue = await bench.encode(input, planOf(pairs))
  t.deepEqual(byValue, { kind: 'misfit', columns: ['v', 'at', 'ok'] })
  const outcome = await bench.encode(input, planOf([], { outputs }))
  if (outcome.kind !== 'encoded') return t.fail()
  const rows = await readRows(
    outcome.files[0]!,
    outputs.map((output) => output.column),
  )
  t.deepEqual(rows.map(Object.values), [
    [12n, null, 1704067200000000n, null, true, null],
    [13n, null, null, 'yesterday', true, null],
    [null, '1.5', null, '5', null, 't'],
    [null, '{"a":1}', null, null, null, '1'],
  ])
})

test('a table column that the batch lacks is null; columns the plan leaves out are not written', async (t) => {
  const input = { format: 'ndjson', path: await bench.file(lines({ a: 1, b: 2 })) } as const
  const columns = [column(1, 'a', 'long'), column(2, 'gone', 'date')]
  const outcome = await bench.encode(input, planOf(columns))
  if (outcome.kind !== 'encoded') return t.fail()
  t.deepEqual(await readRows(outcome.files[0]!, columns), [{ a: 1n, gone: null }])
})

test('2 000 columns, in any order, and a cell of 10 MB', async (t) => {
  const names = Array.from({ length: 2_000 }, (_, index) => `field ${index}`)
  const objectOf = (keys: readonly string[]): object =>
    Object.fromEntries(keys.map((key) => [key, key]))
  const big = 'q'.repeat(10_000_000)
  const { rows } = await land(
    lines(objectOf(names), objectOf(names.toReversed()), { 'field 7': big }, {}),
  )
  t.is(rows.length, 4)
  t.is(rows[0]!['field 1999'], 'field 1999')
  t.is(rows[1]!['field 0'], 'field 0')
  t.is(String(rows[2]!['field 7']).length, 10_000_000)
  t.is(rows[3]!['field 3'], null)
})

test('fields without end are refused by name of the limit', async (t) => {
  const rows = Array.from({ length: FIELDS_MAX + 1 }, (_, index) => ({ [`k${index}`]: 1 }))
  await t.throwsAsync(land(lines(...rows)), {
    code: 'SCHEMA_INVALID',
    message: /10000 different/,
  } as object)
})

test('an empty file has no columns and gives no file', async (t) => {
  const input = { format: 'ndjson', path: await bench.file('\n \n') } as const
  t.deepEqual(await bench.encoder.inspect(input, never), [])
})
