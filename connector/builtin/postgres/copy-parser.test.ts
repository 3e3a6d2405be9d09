/** The pure parts: taking the wire apart, reading fields back, names, and what failures mean. */
import fc from 'fast-check'
import test from 'ava'
import { HakiriError, type Code } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import { createCopyParser, type CopyChunk } from './copy-parser.ts'
import { readFields, rowEnd } from './csv.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { ServerError, toSourceError } from './errors.ts'
import { idPart, tableLabel } from './names.ts'
import { selectByPatterns } from './patterns.ts'
import { decodeSpec, encodeSpec, rangeCondition } from './shard-spec.ts'

const viaJson = (json: Json): Json => JSON.parse(JSON.stringify(json)) as Json

const message = (type: string, body: Uint8Array | string): Buffer => {
  const payload = Buffer.from(body as string)
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(payload.length + 4, 1)
  return Buffer.concat([head, payload])
}

type Parsed = { readonly chunks: CopyChunk[]; readonly failures: Error[]; ready: number }

/** Feeds a stream of messages in pieces that end at `cuts`. */
function parse(
  wire: Buffer,
  cuts: readonly number[],
  limits: { readonly chunkBytesMax: number; readonly rowBytesMax: number },
): Parsed {
  const parsed: Parsed = { chunks: [], failures: [], ready: 0 }
  const parser = createCopyParser(
    { ...limits, trackRows: true },
    {
      chunk: (chunk) => parsed.chunks.push(chunk),
      failure: (error) => parsed.failures.push(error),
      ready: () => parsed.ready++,
    },
  )
  const ends = [...cuts.map((cut) => cut % (wire.length + 1)), wire.length].toSorted(
    (a, b) => a - b,
  )
  let start = 0
  for (const end of ends) {
    parser.feed(Buffer.from(wire.subarray(start, end)))
    start = end
  }
  return parsed
}

const row = fc
  .string({ maxLength: 40, unit: 'binary' })
  .map((text) => `${text.replaceAll('\n', '')}\n`)

test('rows come out whole and in order, however the wire is cut and chunks are sized', (t) => {
  fc.assert(
    fc.property(
      fc.array(row),
      fc.array(fc.nat()),
      fc.integer({ min: 1, max: 200 }),
      (rows, cuts, most) => {
        const noise = message('S', 'TimeZone\0UTC\0')
        const wire = Buffer.concat([
          message('H', Buffer.from([0, 0, 0])),
          ...rows.flatMap((text, i) =>
            i % 3 === 0 ? [noise, message('d', text)] : [message('d', text)],
          ),
          message('c', ''),
          message('C', 'COPY\0'),
          message('Z', 'T'),
        ])
        const { chunks, failures, ready } = parse(wire, cuts, {
          chunkBytesMax: most,
          rowBytesMax: 1000,
        })
        t.is(ready, 1)
        t.deepEqual(failures, [])
        t.is(Buffer.concat(chunks.map((chunk) => chunk.bytes)).toString(), rows.join(''))
        t.is(
          chunks.reduce((sum, chunk) => sum + chunk.rows, 0),
          rows.length,
        )
        let next = 0
        for (const { bytes, rows: count, lastRowStart, rowEnds } of chunks) {
          const lengths = rows.slice(next, next + count).map((text) => Buffer.byteLength(text))
          next += count
          const ends = lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))
          t.deepEqual(rowEnds, ends)
          t.is(lastRowStart, bytes.length - lengths.at(-1)!)
          t.true(bytes.length <= most || count === 1)
        }
      },
    ),
  )
})

test('a chunk that was handed out is never written to again', (t) => {
  const wire = Buffer.concat(Array.from({ length: 50 }, (_, i) => message('d', `row ${i}\n`)))
  const kept: string[] = []
  const chunks: CopyChunk[] = []
  const parser = createCopyParser(
    { chunkBytesMax: 30, rowBytesMax: 100, trackRows: false },
    {
      chunk: (chunk) => {
        chunks.push(chunk)
        kept.push(Buffer.from(chunk.bytes).toString())
      },
      failure: () => t.fail(),
      ready: () => undefined,
    },
  )
  parser.feed(wire)
  t.true(chunks.length > 10)
  t.deepEqual(
    chunks.map((chunk) => Buffer.from(chunk.bytes).toString()),
    kept,
  )
})

test('a server error is reported with its code, its text and its detail', (t) => {
  const body = 'SERROR\0C22012\0Mdivision by zero\0Dno luck\0Fint.c\0\0'
  const wire = Buffer.concat([message('d', 'a\n'), message('E', body), message('Z', 'E')])
  const { failures, chunks, ready } = parse(wire, [3, 9, 20], { chunkBytesMax: 9, rowBytesMax: 9 })
  t.deepEqual(failures, [new ServerError('22012', 'division by zero', 'no luck')])
  t.deepEqual([chunks.length, ready], [0, 1])
})

test('what is not COPY text in rows is refused: binary, split rows, absurd lengths, too large a row', (t) => {
  const limits = { chunkBytesMax: 10, rowBytesMax: 20 }
  const refuse = (wire: Buffer, state: string) =>
    t.like(
      t.throws(() => parse(wire, [], limits)),
      { code: state },
    )
  refuse(message('H', Buffer.from([1, 0, 0])), '08P01')
  refuse(message('d', 'half a row'), '08P01')
  refuse(Buffer.from([0x64, 0xff, 0xff, 0xff, 0xff]), '08P01')
  refuse(Buffer.from([0x4e, 0x7f, 0xff, 0xff, 0xff]), '08P01')
  refuse(message('d', `${'x'.repeat(20)}\n`), '54000')
})

test('fields are read back as they were written', (t) => {
  const field = fc.option(fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', 'é', ' ') }))
  const toCsv = (value: string | null) => (value === null ? '' : `"${value.replaceAll('"', '""')}"`)
  const plain = fc.constantFrom('x', 'yz', '12')
  fc.assert(
    fc.property(
      fc.array(fc.oneof(field, plain), { minLength: 1 }),
      fc.array(fc.nat()),
      (fields, pick) => {
        const isPlain = (value: string | null) => value !== null && /^[a-z0-9]+$/.test(value)
        const line = `${fields.map((v) => (isPlain(v) ? v : toCsv(v))).join(',')}\n`
        const wanted = [...new Set(pick.map((n) => n % fields.length))].toSorted((a, b) => a - b)
        const bytes = Buffer.from(`before\n${line}after\n`)
        t.deepEqual(
          readFields(bytes, 7, wanted),
          wanted.map((index) => fields[index]!),
        )
        t.is(rowEnd(bytes, 7), 7 + Buffer.byteLength(line))
      },
    ),
  )
})

test('labels and ids of different tables differ, whatever their names', (t) => {
  const name = fc.string({
    minLength: 1,
    maxLength: 4,
    unit: fc.constantFrom('a', 'A', '.', '"', '=', '/', 'é', ' '),
  })
  fc.assert(
    fc.property(fc.tuple(name, name), fc.tuple(name, name), (one, two) => {
      const same = one[0] === two[0] && one[1] === two[1]
      t.is(tableLabel(...one) === tableLabel(...two), same)
      t.is(idPart(tableLabel(...one)) === idPart(tableLabel(...two)), same)
      t.regex(idPart(tableLabel(...one)), /^[A-Za-z0-9._=-]+$/)
    }),
  )
})

test('patterns select by schema, wildcard and exclusion; partitions only by their full name', (t) => {
  const table = (schema: string, name: string, inner = false) => ({
    schema,
    name,
    label: tableLabel(schema, name),
    inner,
  })
  const tables = [
    table('public', 'a'),
    table('public', 'b.c'),
    table('s', 'a'),
    table('public', 'a_1', true),
    table('public', 'x+y'),
  ]
  const select = (...patterns: string[]) =>
    selectByPatterns(patterns, tables).selected.map((found) => found.label)
  t.deepEqual(select('*'), ['public.a', 'public."b.c"', 'public.x+y'])
  t.deepEqual(select('*.*'), ['public.a', 'public."b.c"', 's.a', 'public.x+y'])
  t.deepEqual(select('a'), ['public.a'])
  t.deepEqual(select('a_1'), ['public.a_1'])
  t.deepEqual(select('a*'), ['public.a'])
  t.deepEqual(select('"b.c"'), ['public."b.c"'])
  t.deepEqual(select('public.b.c'), ['public."b.c"'])
  t.deepEqual(select('x+y'), ['public.x+y'])
  t.deepEqual(select('xxy', 'A'), [])
  t.deepEqual(select('*.a', '!s.*'), ['public.a'])
  t.deepEqual(selectByPatterns(['nope', '!t*', 'a'], tables).unmatched, [
    { pattern: 'nope', exact: true },
    { pattern: '!t*', exact: false },
  ])
})

test('cursors and specs survive their JSON form', (t) => {
  const at = { columns: ['a', 'b'], types: ['integer', 'text collate x'], values: ['1', ''] }
  for (const cursor of [
    { kind: 'done' },
    { kind: 'key', at },
    { kind: 'unplaced', column: 'c', at },
    { kind: 'value', column: 'c', at },
    { kind: 'value', column: 'c', at: undefined },
  ] as const) {
    t.deepEqual(decodeCursor(viaJson(encodeCursor(cursor))), cursor)
  }
  const range = { key: 'k', asked: 8, index: 1, parts: 3, lower: 'a', upper: null }
  for (const spec of [
    { schema: 's', name: 'n', range },
    { schema: 's', name: 'n', range: undefined },
  ]) {
    t.deepEqual(decodeSpec(viaJson(encodeSpec(spec))), spec)
  }
  t.throws(() => decodeSpec({ schema: 's' }), { instanceOf: HakiriError })
  t.throws(() => decodeSpec({ schema: 's', name: 'n', range: {} }), { instanceOf: HakiriError })
})

test('a range condition quotes what it holds', (t) => {
  const column = {
    name: 'a"b',
    type: { display: 'text', cast: 'text', builtin: 'text', modifier: -1, array: false },
    notNull: false,
    deterministic: true,
    collation: '',
    operatorSchema: 'pg_catalog',
    readable: true,
  }
  const range = { key: 'a"b', asked: 2, index: 0, parts: 2, lower: null, upper: "it's" }
  t.is(rangeCondition(range, column), `s."a""b" < 'it''s'::text OR s."a""b" IS NULL`)
})

/** SQLSTATE or errno → code and whether another try may help. */
const MEANINGS: readonly (readonly [string, Code, string])[] = [
  ['ECONNREFUSED', 'SOURCE_UNREACHABLE', 'transient'],
  ['ENOTFOUND', 'SOURCE_UNREACHABLE', 'transient'],
  ['ECONNRESET', 'SOURCE_UNREACHABLE', 'transient'],
  ['ETIMEDOUT', 'SOURCE_UNREACHABLE', 'transient'],
  ['57P01', 'SOURCE_UNREACHABLE', 'transient'],
  ['57P03', 'SOURCE_UNREACHABLE', 'transient'],
  ['57014', 'SOURCE_UNREACHABLE', 'transient'],
  ['53300', 'SOURCE_UNREACHABLE', 'transient'],
  ['08006', 'SOURCE_UNREACHABLE', 'transient'],
  ['40001', 'SOURCE_UNREACHABLE', 'transient'],
  ['55P03', 'SOURCE_UNREACHABLE', 'transient'],
  ['25P03', 'SOURCE_UNREACHABLE', 'transient'],
  ['28P01', 'SOURCE_AUTH', 'auth'],
  ['28000', 'SOURCE_AUTH', 'auth'],
  ['42501', 'SOURCE_AUTH', 'auth'],
  ['42P01', 'SOURCE_CHANGED', 'transient'],
  ['42703', 'SOURCE_CHANGED', 'transient'],
  ['22P02', 'SOURCE_DATA', 'data'],
  ['22021', 'SOURCE_DATA', 'data'],
  ['XX001', 'SOURCE_DATA', 'data'],
  ['54000', 'SOURCE_DATA', 'data'],
  ['42601', 'SOURCE_FATAL', 'fatal'],
  ['3D000', 'SOURCE_FATAL', 'fatal'],
  ['XX000', 'SOURCE_FATAL', 'fatal'],
  ['08P01', 'SOURCE_FATAL', 'fatal'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'SOURCE_FATAL', 'fatal'],
]

test('each failure of server and network has a code, and names server and table', (t) => {
  for (const [state, code, retry] of MEANINGS) {
    const cause = new ServerError(state, 'what happened', undefined)
    const error = toSourceError(cause, {
      server: 'db:5432/shop',
      table: { schema: 's', name: 'T' },
    })
    t.is(error.code, code, state)
    t.is(error.retry, retry as typeof error.retry, state)
    t.true(error.message.startsWith('db:5432/shop, s.T: what happened'), error.message)
    t.is(error.cause, cause)
  }
  const cut = toSourceError(new Error('Connection terminated unexpectedly'), {
    server: 'db:5432/shop',
  })
  t.is(cut.code, 'SOURCE_UNREACHABLE')
  const denied = toSourceError(new ServerError('42501', 'no', undefined), {
    server: 'x',
    table: { schema: 's', name: 'T"x' },
  })
  t.true(denied.suggestion!.includes('GRANT SELECT ON "s"."T""x" TO <user>;'))
  const both = new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')])
  const refused = toSourceError(Object.assign(both, { code: 'ECONNREFUSED' }), { server: 'x' })
  t.is(refused.message, 'x: ::1 refused; 127.0.0.1 refused (ECONNREFUSED)')
})
