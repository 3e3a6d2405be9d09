import test from 'ava'
import fc from 'fast-check'
import { configOf, CSV, failure, folderOf, put, read } from '../../../test/support/file-source.ts'
import type { Row } from '../../../test/support/read-events.ts'
import type { CsvConfig } from './config.ts'
import { footerLength, readFooter } from './parquet-footer.ts'
import { partsOf } from './parquet.ts'

// ── CSV ───────────────────────────────────────────────────────────────────────────────────────────

const cell = fc.oneof(
  fc.constantFrom(
    null,
    '',
    'NULL',
    ' ',
    '"',
    '""',
    ',',
    ';',
    '\r',
    '\n',
    '\r\n',
    "'",
    'é',
    '€\u{1f980}',
    '1',
  ),
  fc.string({ maxLength: 6 }),
)

/** Writes a cell the way a careful exporter of this dialect would. */
function writeCell(
  value: string | null,
  { delimiter, quote, nullText }: CsvConfig,
  always: boolean,
): string {
  if (value === null) return nullText
  const isPlain =
    value !== '' &&
    value !== nullText &&
    ![delimiter, quote, '\r', '\n'].some((stop) => value.includes(stop))
  return isPlain && !always ? value : quote + value.replaceAll(quote, quote + quote) + quote
}

test('any table comes back from any dialect, line ends, chunks and type guesses', async (t) => {
  const scenario = fc.record({
    width: fc.integer({ min: 1, max: 4 }),
    cells: fc.array(cell, { maxLength: 40 }),
    delimiter: fc.constantFrom(',', ';', '\t', '|'),
    quote: fc.constantFrom('"', "'"),
    nullText: fc.constantFrom('', 'NULL', '\\N'),
    lineEnd: fc.constantFrom('\n', '\r\n'),
    header: fc.boolean(),
    closed: fc.boolean(),
    always: fc.boolean(),
    chunkBytesMax: fc.integer({ min: 1, max: 100 }),
    mark: fc.boolean(),
  })
  const folder = await folderOf(t)
  await fc.assert(
    fc.asyncProperty(scenario, async (s) => {
      const rows: (string | null)[][] = []
      for (let at = 0; at + s.width <= s.cells.length; at += s.width) {
        const row = s.cells.slice(at, at + s.width)
        // One empty field and an empty line are the same text.
        if (s.width > 1 || row[0] !== null || s.nullText !== '') rows.push(row)
      }
      const names = Array.from({ length: s.width }, (_, index) => `c ${index}`)
      const csv: CsvConfig = { ...s, columns: s.header ? undefined : names }
      const lines = [...(s.header ? [names] : []), ...rows].map((row) =>
        row.map((value) => writeCell(value, csv, s.always)).join(s.delimiter),
      )
      const text = lines.join(s.lineEnd) + (s.closed && lines.length > 0 ? s.lineEnd : '')
      await put(folder, 'x.csv', (s.mark ? '\ufeff' : '') + text)
      const reading = await read(
        folder,
        configOf(['x.csv'], { csv }),
        {},
        { chunkBytesMax: s.chunkBytesMax },
      )
      t.deepEqual(reading.rejects, [])
      t.deepEqual(
        reading.rows.map((row) => names.map((name) => row[name])),
        rows,
      )
      t.deepEqual(reading.miscounted, [])
    }),
    { numRuns: 400 },
  )
})

test('types are guessed from values that are written in one way only', async (t) => {
  const columns: readonly (readonly [type: string, ...values: string[]])[] = [
    ['long', '1', '-20', '', '9223372036854775807'],
    ['string', '9223372036854775808', '1', '', ''],
    ['string', '01', '2', '3', ''],
    ['double', '-0', '', '', ''],
    ['double', '1.50', '2', '-3e5', '0.1'],
    ['string', '1.5', '12345678901234567', '', ''],
    ['boolean', 'true', 'FALSE', '', ''],
    ['string', 'true', '1', '', ''],
    ['date', '2024-02-29', '', '1999-12-31', ''],
    ['string', '2023-02-29', '2024-01-01', '', ''],
    [
      'timestamp',
      '2024-01-01T10:00:00Z',
      '2024-01-01 10:00:00.123456+02',
      '2024-01-01T10:00:00+05:30',
      '',
    ],
    ['string', '2024-01-01T10:00:00', '', '', ''],
    ['string', '', '', '', ''],
    ['string', ' 1', '2', '3', '4'],
  ]
  const header = columns.map((_, index) => `c${index}`).join(',')
  const lines = [1, 2, 3, 4].map((line) => columns.map((column) => column[line]).join(','))
  const folder = await folderOf(t, { 'x.csv': [header, ...lines].join('\n') + '\n' })
  const { schemas } = await read(
    folder,
    configOf(['x.csv'], { types: { c0: 'decimal(20,0)', c1: 'no type' } }),
  )
  t.is(schemas.length, 1)
  t.deepEqual(
    schemas[0]!.map(({ type }) => type as string),
    ['decimal(20,0)', ...columns.slice(1).map(([type]) => type)],
  )
  t.true(schemas[0]!.every(({ sourceType }) => sourceType === 'csv'))
})

test('header names are made usable: none empty, none twice, no byte order mark', async (t) => {
  const folder = await folderOf(t, { 'x.csv': '\ufeff"a", b ,,a,a_2,a\n1,2,3,4,5,6\n' })
  const { schemas } = await read(folder, configOf(['x.csv']))
  t.deepEqual(
    schemas[0]!.map(({ name }) => name),
    ['a', 'b', 'column_3', 'a_2', 'a_2_2', 'a_3'],
  )
  const unnamed = await read(folder, configOf(['x.csv'], { csv: { ...CSV, header: false } }))
  t.deepEqual(
    Object.keys(unnamed.rows[0]!),
    [1, 2, 3, 4, 5, 6].map((n) => `column_${n}`),
  )
  const error = await failure(
    t,
    read(folder, configOf(['x.csv'], { csv: { ...CSV, columns: ['x'] } })),
  )
  t.is(error.code, 'SOURCE_DATA')
})

test('bad rows are rejected alone: fields, quotes and bytes that are wrong', async (t) => {
  const body = Buffer.concat([
    Buffer.from('a,b\n1,2\n3\n4,5,6\n\n"7"x,8\n10,11\n'),
    Buffer.from([0x31, 0xff, 0x2c, 0x32, 0x0a]),
    Buffer.from('12,"1\n3"\n9,"never closed\n14,15\n'),
  ])
  const folder = await folderOf(t, { 'x.csv': body })
  const reading = await read(folder, configOf(['x.csv']))
  t.deepEqual(
    reading.rows.map(({ a, b }) => [a, b]),
    [
      ['1', '2'],
      ['10', '11'],
      ['12', '1\n3'],
      ['14', '15'],
    ],
  )
  t.deepEqual(reading.rejects, ['3', '4,5,6', '"7"x,8', '1\u00ff,2', '9,"never closed'])
  t.deepEqual(reading.reasons.slice(0, 3), [
    'the row has 1 fields, the table 2 columns',
    'the row has 3 fields, the table 2 columns',
    'a quote is misplaced',
  ])
})

test('a quote inside an unquoted field is text', async (t) => {
  const folder = await folderOf(t, { 'x.csv': 'a,b\n5"6,7" tall\n "x",y"\n' })
  const reading = await read(folder, configOf(['x.csv']))
  t.deepEqual(reading.rows, [
    { a: '5"6', b: '7" tall' },
    { a: ' "x"', b: 'y"' },
  ])
})

test('files with other columns announce them again, files with the same do not', async (t) => {
  const folder = await folderOf(t, {
    'a.csv': 'x\n1\n',
    'b.csv': 'x\n2\n',
    'c.csv': 'y,x\n3,z\n',
    'd.tsv': 'y\tx\n4\tw\n',
  })
  const reading = await read(folder, configOf(['*.*sv']))
  t.deepEqual(reading.rows, [{ x: '1' }, { x: '2' }, { y: '3', x: 'z' }, { y: '4', x: 'w' }])
  t.is(reading.schemas.length, 2)
})

test('a row larger than the limit is dropped as one reject, those around it come', async (t) => {
  const long = 'x'.repeat(300_000)
  const over = { rowBytesMax: 100_000 }
  const folder = await folderOf(t, {
    'x.csv': `a,b\n1,2\n"${long}",3\n4,5\n`,
    'x.ndjson': `{"a":1}\n{"a":"${long}"}\n{"a":2}\n`,
    'x.json': `[{"a":1},{"a":"${long}"}]`,
  })
  const small = { chunkBytesMax: 1_000 }
  const csv = await read(folder, configOf(['x.csv'], over), {}, small)
  t.deepEqual(
    csv.rows.map(({ a }) => a),
    ['1', '4'],
  )
  t.is(csv.rejects.length, 1)
  const lines = await read(folder, configOf(['x.ndjson'], over), {}, small)
  t.deepEqual(lines.rows, [{ a: 1 }, { a: 2 }])
  t.is(lines.rejects.length, 1)
  const error = await failure(t, read(folder, configOf(['x.json'], over), {}, small))
  t.is(error.code, 'SOURCE_DATA')
})

// ── JSON ──────────────────────────────────────────────────────────────────────────────────────────

test('any list of objects comes back from NDJSON and JSON, in chunks of any size', async (t) => {
  const scenario = fc.record({
    rows: fc.array(
      fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 }), {
        noNullPrototype: true,
      }),
      { maxLength: 12 },
    ),
    chunkBytesMax: fc.integer({ min: 1, max: 80 }),
    indent: fc.integer({ min: 0, max: 2 }),
    closed: fc.boolean(),
    lineEnd: fc.constantFrom('\n', '\r\n', '\n\n', ' \n'),
  })
  const folder = await folderOf(t)
  await fc.assert(
    fc.asyncProperty(scenario, async ({ rows, chunkBytesMax, indent, closed, lineEnd }) => {
      const plain = JSON.parse(JSON.stringify(rows)) as Row[]
      const lines = rows.map((row) => JSON.stringify(row)).join(lineEnd)
      await put(folder, 'x.ndjson', lines + (closed ? lineEnd : ''))
      await put(folder, 'x.json', JSON.stringify({ a: { 'b/c': rows }, z: 1 }, null, indent))
      t.deepEqual((await read(folder, configOf(['x.ndjson']), {}, { chunkBytesMax })).rows, plain)
      const nested = configOf(['x.json'], { records: '/a/b~1c' })
      t.deepEqual((await read(folder, nested, {}, { chunkBytesMax })).rows, plain)
    }),
    { numRuns: 200 },
  )
})

test('what a JSON file cannot be is said: nothing there, cut off, something behind the list', async (t) => {
  const bad: readonly (readonly [string, string])[] = [
    ['', ''],
    ['{"a":1}', '/rows'],
    ['{"rows":5}', '/rows'],
    ['[{"a":1},', ''],
    ['[{"a":1}', ''],
    ['[{"a":1}][{"a":2}]', ''],
    ['[{"a":1} {"a":2}]', ''],
    ['{"a":1', ''],
    ['[]', 'no pointer'],
  ]
  for (const [text, records] of bad) {
    const folder = await folderOf(t, { 'x.json': text })
    const error = await failure(t, read(folder, configOf(['x.json'], { records })))
    t.true(['SOURCE_DATA', 'CONFIG_INVALID'].includes(error.code), text)
  }
  const fine = await folderOf(t, {
    'a.json': '{"a":1}\n',
    'b.json': '[]',
    'c.json': 'null',
    'd.json': '[{"a":2},3]\n\n',
  })
  const reading = await read(fine, configOf(['*.json']))
  t.deepEqual(reading.rows, [{ a: 1 }, { a: 2 }])
  t.deepEqual(reading.rejects, ['3'])
})

test('text that is not UTF-8 is rejected by record, and UTF-16 is refused by name', async (t) => {
  const bad = Buffer.from('{"a":"\xff"}', 'latin1')
  const folder = await folderOf(t, {
    'x.ndjson': Buffer.concat([
      Buffer.from('{"a":1}\n'),
      bad,
      Buffer.from('\n{"a":"\\ud800"}\n{"a":2}\n'),
    ]),
    'x.json': Buffer.concat([
      Buffer.from('[{"a":1},'),
      bad,
      Buffer.from(',{"a":"\\ud800"},{"a":2}]'),
    ]),
    'x.csv': Buffer.from('\ufeffa,b\n1,2\n', 'utf16le'),
  })
  for (const name of ['x.ndjson', 'x.json']) {
    const reading = await read(folder, configOf([name]))
    t.deepEqual(reading.rows, [{ a: 1 }, { a: 2 }], name)
    t.deepEqual(reading.rejects, ['{"a":"\u00ff"}', '{"a":"\\ud800"}'])
  }
  const error = await failure(t, read(folder, configOf(['x.csv'])))
  t.regex(error.message, /UTF-16/)
})

// ── Parquet ───────────────────────────────────────────────────────────────────────────────────────

test('parts of any file cover each of its rows once, and stay near the limit', (t) => {
  const empty = { rows: 0, bytes: 5_000 }
  const weighty = [empty, empty, empty, { rows: 1, bytes: 1 }]
  const group = fc.record({ rows: fc.integer({ min: 0, max: 50 }), bytes: fc.nat(5_000) })
  fc.assert(
    fc.property(
      fc.array(group, { maxLength: 10 }),
      fc.integer({ min: 1, max: 3_000 }),
      (groups, most) => {
        const rows = groups.reduce((sum, each) => sum + each.rows, 0)
        let next = 0
        for (const part of partsOf({ rows, groups }, most)) {
          t.is(part.from, next)
          t.true(part.rows > 0)
          // Rows are not cut: a part may be as large as its largest row allows.
          const widest = Math.max(...groups.map((each) => each.bytes / Math.max(1, each.rows)))
          t.true(part.bytes <= 2 * most + 2 * widest + 50, `${part.bytes} bytes`)
          next += part.rows
        }
        t.is(next, rows)
      },
    ),
    { numRuns: 1_000, examples: [[weighty, 1]] },
  )
})

test('bytes that are no Parquet footer are refused, whatever they are', (t) => {
  t.is(footerLength(Buffer.from('PAR1')), undefined)
  t.is(footerLength(Buffer.from('12345678')), undefined)
  // Row groups that are true instead of a list.
  t.is(readFooter(Buffer.from([0x41, 0])), undefined)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      t.notThrows(() => readFooter(Buffer.from(bytes)))
    }),
    { numRuns: 2_000 },
  )
})
