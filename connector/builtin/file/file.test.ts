import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import {
  access,
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { connectorSuite, type KnownSource } from '../../../test/conformance/connector-suite.ts'
import { readEvents, type Reading, type Row } from '../../../test/support/read-events.ts'
import { parquetOf } from '../../../test/support/write-parquet.ts'
import type { HakiriError } from '../../../lib/error.ts'
import type { Json } from '../../../lib/json.ts'
import { systemClock, systemRandom } from '../../../lib/system/clock.ts'
import { silentLogger } from '../../../lib/system/log.ts'
import type { ConnectorContext, SourceBucket, SourceEvent } from '../../connector.ts'
import type { CsvConfig, FileConfig } from './config.ts'
import { createFileConnector } from './file.ts'

const CSV: CsvConfig = {
  delimiter: ',',
  quote: '"',
  header: true,
  columns: undefined,
  nullText: '',
}

function configOf(paths: readonly string[], over: Partial<FileConfig> = {}): FileConfig {
  return { paths, format: undefined, table: 'rows', csv: CSV, records: '', ...over }
}

function contextOf(baseFolder: string, over: Partial<ConnectorContext> = {}): ConnectorContext {
  return {
    resolve: async (reference) => reference,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    signal: new AbortController().signal,
    baseFolder,
    chunkBytesMax: 1_000_000,
    openBucket: (url) =>
      folderBucket(join(baseFolder, new URL(url).hostname, new URL(url).pathname)),
    count: () => undefined,
    ...over,
  }
}

/** A folder as an object store: whole objects with an ETag of their bytes. */
async function folderBucket(root: string): Promise<SourceBucket> {
  return {
    async *list(prefix) {
      const names = await readdir(root, { recursive: true })
      for (const key of names.toSorted().filter((name) => name.startsWith(prefix))) {
        if (!(await stat(join(root, key))).isFile()) continue
        const body = await readFile(join(root, key))
        yield { key, bytes: body.length, etag: createHash('md5').update(body).digest('hex') }
      }
    },
    read: async (key, start, end) => (await readFile(join(root, key))).subarray(start, end),
  }
}

/** Long ago: nobody is writing to it any more. */
const OLD = new Date('2024-01-01T00:00:00Z')

type Body = string | Buffer
async function put(folder: string, name: string, body: Body, modified: Date = OLD): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true })
  await writeFile(join(folder, name), body)
  await utimes(join(folder, name), modified, modified)
}

async function folderOf(
  t: ExecutionContext,
  files: { readonly [name: string]: Body } = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-file-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const [name, body] of Object.entries(files)) await put(folder, name, body)
  return folder
}

type From = { readonly cursor?: Json; readonly state?: { readonly [key: string]: Json } }

function openFirst(
  folder: string,
  config: FileConfig,
  from: From = {},
  over: Partial<ConnectorContext> = {},
): AsyncIterable<SourceEvent> {
  const shard = { id: 'rows', table: 'rows', spec: { kind: 'all' } }
  const { cursor = null, state = {} } = from
  return createFileConnector(config).open(contextOf(folder, over), {
    shard,
    mode: { kind: 'full' },
    cursor,
    state,
  })
}

const read = (
  folder: string,
  config: FileConfig,
  from: From = {},
  over: Partial<ConnectorContext> = {},
): Promise<Reading> => readEvents(openFirst(folder, config, from, over))

/** A later run: from the beginning, with what the last one remembered. */
const after = (reading: Reading): From => ({ state: reading.marks.at(-1)!.state })

async function failure(t: ExecutionContext, work: Promise<unknown>): Promise<HakiriError> {
  return t.throwsAsync<HakiriError>(work)
}

const rowsOf = (from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, index) => ({
    id: from + index,
    name: `row "${from + index}", é`,
  }))
const text = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value))
const asCsvRow = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([key, value]) => [key, value === null ? null : text(value)]),
  )
const quoted = (value: Json): string => `"${text(value).replaceAll('"', '""')}"`
const csvText = (rows: readonly Row[]): string =>
  ['id,name', ...rows.map((row) => `${text(row['id']!)},${quoted(row['name']!)}`)].join('\n') + '\n'
const ndjsonText = (rows: readonly Row[]): string =>
  rows.map((row) => JSON.stringify(row) + '\n').join('')

// ── The port ──────────────────────────────────────────────────────────────────────────────────────

const PARTS = [rowsOf(0, 20), rowsOf(20, 1), rowsOf(21, 12)] as const
const ALL = PARTS.flat()

type Layout = {
  readonly name: string
  readonly encode: (rows: readonly Row[]) => Promise<Body> | Body
  readonly rows: readonly Row[]
  readonly ending: string
  readonly bucket?: boolean
  readonly over?: Partial<FileConfig>
  readonly rejects?: readonly string[]
}

const LAYOUTS: readonly Layout[] = [
  { name: 'csv', ending: 'csv', encode: csvText, rows: ALL.map(asCsvRow) },
  {
    name: 'csv, a shard a file',
    ending: 'csv',
    encode: csvText,
    rows: ALL.map(asCsvRow),
    over: { shardBy: { kind: 'file' } },
  },
  {
    name: 'csv of another dialect',
    ending: 'csv',
    encode: (rows) =>
      csvText(rows).replaceAll('\n', '\r\n').replaceAll(',"', ';"').replace('id,', 'id;') +
      'broken\r\n',
    rows: ALL.map(asCsvRow),
    over: { csv: { ...CSV, delimiter: ';' } },
    rejects: ['broken', 'broken', 'broken'],
  },
  {
    name: 'csv.gz in a bucket',
    ending: 'csv.gz',
    encode: (rows) => gzipSync(csvText(rows)),
    rows: ALL.map(asCsvRow),
    bucket: true,
  },
  {
    name: 'ndjson',
    ending: 'ndjson',
    encode: (rows) => ndjsonText(rows) + 'broken\n',
    rows: ALL,
    rejects: ['broken', 'broken', 'broken'],
  },
  {
    name: 'ndjson.zst',
    ending: 'jsonl.zst',
    encode: (rows) => zstdCompressSync(ndjsonText(rows)),
    rows: ALL,
  },
  {
    name: 'json in a bucket',
    ending: 'json',
    encode: (rows) => JSON.stringify({ n: 1, rows, z: [2] }, null, 1),
    rows: ALL,
    bucket: true,
    over: { records: '/rows' },
  },
  {
    name: 'parquet',
    ending: 'parquet',
    encode: parquetOf,
    rows: ALL,
    over: { parquetBytesMax: 100 },
  },
  {
    name: 'parquet in a bucket',
    ending: 'parquet',
    encode: parquetOf,
    rows: ALL,
    bucket: true,
    over: { parquetBytesMax: 100 },
  },
]

for (const layout of LAYOUTS) connectorSuite(test, `file, ${layout.name}`, () => known(layout))

async function known(layout: Layout): Promise<KnownSource> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-file-'))
  const inside = layout.bucket ? 'lake/raw/2024' : 'raw/2024'
  const path = (index: number): string => `${inside}/part ${index}.${layout.ending}`
  for (const [index, rows] of PARTS.entries())
    await put(folder, path(index), await layout.encode(rows))
  await put(folder, 'raw/required.ndjson', '')
  const pattern = `raw/**/part *.${layout.ending}`
  const paths = [layout.bucket ? `s3://lake/${pattern}` : pattern]
  if (layout.ending === 'ndjson') paths.push('raw/required.ndjson')
  return {
    connector: createFileConnector(configOf(paths, layout.over)),
    context: (choice) => contextOf(folder, choice),
    mode: { kind: 'full' },
    rows: { rows: layout.rows },
    rejects: { rows: layout.rejects ?? [] },
    secrets: ['no message shows what stands in files'],
    breakIt: async () => {
      // No CSV with a header, nor JSON, nor packed, nor Parquet.
      for (const [index] of PARTS.entries())
        await writeFile(join(folder, path(index)), '"not closed')
      await rm(join(folder, 'raw/required.ndjson'))
    },
    openCount: () => openFilesUnder(folder),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Files below the folder that this process holds open. */
async function openFilesUnder(folder: string): Promise<number> {
  const handles = await readdir('/proc/self/fd').catch((): string[] => [])
  const paths = await Promise.all(
    handles.map((handle) => readlink(`/proc/self/fd/${handle}`).catch(() => '')),
  )
  return paths.filter((path) => path.startsWith(folder)).length
}

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

// ── Later runs ────────────────────────────────────────────────────────────────────────────────────

test('a later run reads new files only, whatever their names, and goes on in grown ones', async (t) => {
  for (const [ending, text] of [
    ['csv', csvText],
    ['ndjson', ndjsonText],
  ] as const) {
    const folder = await folderOf(t, {
      [`b.${ending}`]: text(rowsOf(0, 5)),
      [`d.${ending}`]: text(rowsOf(5, 5)),
    })
    const config = configOf([`*.${ending}`])
    const first = await read(folder, config)
    t.is(first.rows.length, 10)
    t.deepEqual((await read(folder, config, after(first))).rows, [])
    await put(folder, `a.${ending}`, text(rowsOf(10, 2)))
    await appendFile(join(folder, `b.${ending}`), text(rowsOf(12, 3)).replace('id,name\n', ''))
    const second = await read(folder, config, after(first))
    t.deepEqual(
      second.rows.map(({ id }) => Number(id)),
      [10, 11, 12, 13, 14],
      ending,
    )
    const state = { ...first.marks.at(-1)!.state, ...second.marks.at(-1)!.state }
    t.deepEqual((await read(folder, config, { state })).rows, [])
  }
})

test('a pass that was cut is finished by its cursor alone, without what was remembered', async (t) => {
  const names = ['a.csv', 'b.csv', 'c.csv']
  const files = names.map((name, index) => [name, csvText(rowsOf(index * 10, 10))] as const)
  const folder = await folderOf(t, Object.fromEntries(files))
  const whole = await read(folder, configOf(['*.csv']), {}, { chunkBytesMax: 60 })
  for (const { cursor, rows } of whole.marks) {
    const rest = await read(folder, configOf(['*.csv']), { cursor })
    t.deepEqual(rest.rows, whole.rows.slice(rows), JSON.stringify(cursor))
  }
})

test('a file that was only touched is not read again', async (t) => {
  const folder = await folderOf(t, {
    'a.csv': csvText(rowsOf(0, 5)),
    'a.parquet': await parquetOf(rowsOf(0, 5)),
  })
  for (const config of [configOf(['a.csv']), configOf(['a.parquet'])]) {
    const first = await read(folder, config)
    await utimes(join(folder, config.paths[0]!), new Date(), new Date())
    const second = await read(folder, config, after(first))
    t.deepEqual(second.rows, [])
    t.notDeepEqual(second.marks[0]?.state, first.marks.at(-1)?.state, 'the new time is kept')
  }
})

test('a file that shrank, changed or was replaced after it was read is refused, or read anew if asked', async (t) => {
  const before = csvText(rowsOf(0, 5))
  const changes: readonly (readonly [string, Body])[] = [
    ['a.csv', csvText(rowsOf(0, 3))],
    ['a.csv', csvText(rowsOf(100, 9))],
    ['a.csv', before.replace('row', 'ROW')],
    ['a.csv.gz', gzipSync(csvText(rowsOf(0, 3)))],
    ['a.json', '[]   '],
    ['a.json', JSON.stringify(rowsOf(0, 5)) + '[]'],
    ['a.parquet', await parquetOf(rowsOf(1, 5))],
  ]
  for (const [name, body] of changes) {
    const packed = name.endsWith('gz') ? gzipSync(before) : before
    const first = name.endsWith('json')
      ? JSON.stringify(rowsOf(0, 5))
      : name.endsWith('parquet')
        ? await parquetOf(rowsOf(0, 5))
        : packed
    const folder = await folderOf(t, { [name]: first })
    const config = configOf([name])
    const reading = await read(folder, config)
    t.is(reading.rows.length, 5)
    await put(folder, name, body, new Date(OLD.getTime() + 5_000))
    const error = await failure(t, read(folder, config, after(reading)))
    t.is(error.code, 'SOURCE_CHANGED', name)
    t.regex(error.message, /after it was read/)
    if (String(body).endsWith('][]')) continue
    const again = await read(folder, { ...config, changed: 'reread' }, after(reading))
    t.deepEqual(again.rows, (await read(folder, config)).rows)
  }
})

test('a last row without a line break is a row, and text added to it later is refused', async (t) => {
  const folder = await folderOf(t, { 'a.csv': 'a,b\n1,2\n3,4' })
  const config = configOf(['a.csv'])
  const first = await read(folder, config)
  t.deepEqual(
    first.rows.map(({ b }) => b),
    ['2', '4'],
  )
  await appendFile(join(folder, 'a.csv'), '\n5,6\n')
  t.deepEqual((await read(folder, config, after(first))).rows, [{ a: '5', b: '6' }])
  await put(folder, 'a.csv', 'a,b\n1,2\n3,42\n')
  const error = await failure(t, read(folder, config, after(first)))
  t.is(error.code, 'SOURCE_CHANGED')
})

test('an unfinished last row waits while its file is fresh, and is rejected when it never ends', async (t) => {
  for (const [name, start, rest] of [
    ['a.csv', 'a,b\n1,2\n3', ',4\n'],
    ['a.csv', 'a,b\n1,2\n3,"4', '"\n'],
    ['a.ndjson', '{"a":"1","b":"2"}\n{"a":"3",', '"b":"4"}\n'],
  ] as const) {
    const folder = await folderOf(t)
    await put(folder, name, start, new Date())
    const config = configOf([name])
    const first = await read(folder, config)
    t.deepEqual(first.rows, [{ a: '1', b: '2' }])
    t.deepEqual(first.rejects, [])
    await utimes(join(folder, name), OLD, OLD)
    const settled = await read(folder, config, after(first))
    t.is(settled.rejects.length, 1, 'nobody finished it')
    await put(folder, name, start + rest)
    const grown = await read(folder, config, after(first))
    t.deepEqual(grown.rows, [{ a: '3', b: '4' }])
    t.deepEqual(grown.rejects, [])
  }
})

// ── Changes while reading ─────────────────────────────────────────────────────────────────────────

const BIG = rowsOf(0, 20_000)

/** Reads until rows come, makes the change, reads on. */
async function disturb(
  folder: string,
  config: FileConfig,
  change: () => Promise<void>,
): Promise<Reading> {
  const events = openFirst(folder, config, {}, { chunkBytesMax: 70_000 })
  async function* disturbed(): AsyncGenerator<SourceEvent> {
    let done = false
    for await (const event of events) {
      yield event
      if (!done && event.kind === 'rows') {
        done = true
        await change()
      }
    }
  }
  return readEvents(disturbed())
}

test('a file that is cut or rewritten while it is read is SOURCE_CHANGED, never an early end', async (t) => {
  for (const [ending, text] of [
    ['csv', csvText],
    ['ndjson', ndjsonText],
  ] as const) {
    const name = `a.${ending}`
    for (const harm of [
      (path: string) => truncate(path, 80_000),
      (path: string) => truncate(path, 0),
      (path: string) => writeFile(path, text(BIG).replaceAll('row', 'ROW')),
    ]) {
      const folder = await folderOf(t, { [name]: text(BIG) })
      const error = await failure(
        t,
        disturb(folder, configOf([name]), () => harm(join(folder, name))),
      )
      t.is(error.code, 'SOURCE_CHANGED')
      t.is(await openFilesUnder(folder), 0)
    }
  }
})

test('no half of a row comes from a file that is cut while it is read', async (t) => {
  const lines = Array.from({ length: 20_000 }, (_, id) => `${id},${id * 1_000_003}`)
  const body = `id,n\n${lines.join('\n')}\n`
  for (let cut = 150_000; cut < 150_016; cut++) {
    const folder = await folderOf(t, { 'a.csv': body })
    const came: SourceEvent[] = []
    const events = openFirst(folder, configOf(['a.csv']), {}, { chunkBytesMax: 70_000 })
    const reading = (async () => {
      for await (const event of events) {
        if (event.kind === 'rows' && came.length < 2) await truncate(join(folder, 'a.csv'), cut)
        came.push(event)
      }
    })()
    t.is((await failure(t, reading))?.code, 'SOURCE_CHANGED')
    const rows = came.flatMap((event) => (event.kind === 'rows' ? [event.bytes] : []))
    t.true(body.startsWith(`id,n\n${Buffer.concat(rows).toString()}`))
    t.false(came.some(({ kind }) => kind === 'reject'))
  }
})

test('a file that grows while it is read is read as it was, and read on later', async (t) => {
  const folder = await folderOf(t, { 'a.csv': csvText(BIG) })
  const config = configOf(['a.csv'])
  const more = (): Promise<void> => appendFile(join(folder, 'a.csv'), '20000,"x"\n')
  const first = await disturb(folder, config, more)
  t.is(first.rows.length, 20_000)
  t.deepEqual((await read(folder, config, after(first))).rows, [{ id: '20000', name: 'x' }])
})

test('a file that is gone before it was read to its end is SOURCE_CHANGED', async (t) => {
  const folder = await folderOf(t, {
    'a.csv': csvText(rowsOf(0, 50)),
    'b.csv': csvText(rowsOf(50, 1)),
  })
  const config = configOf(['*.csv'])
  const reading = await read(folder, config, {}, { chunkBytesMax: 200 })
  const middle = reading.marks[3]!
  await rm(join(folder, 'a.csv'))
  const error = await failure(t, read(folder, config, middle))
  t.is(error.code, 'SOURCE_CHANGED')
  const behind = reading.marks.find(({ cursor }) => (cursor as { done?: boolean }).done)!
  t.deepEqual((await read(folder, config, behind)).rows.length, 1, 'a finished file may go')
})

test('an object that is replaced while it is read is SOURCE_CHANGED', async (t) => {
  const folder = await folderOf(t, { 'lake/a.csv': csvText(BIG) })
  const replace = (): Promise<void> =>
    put(folder, 'lake/a.csv', csvText(BIG).replaceAll('row', 'ROW'))
  const error = await failure(t, disturb(folder, configOf(['s3://lake/*.csv']), replace))
  t.is(error.code, 'SOURCE_CHANGED')
})

test('a packed file that is cut off is SOURCE_DATA', async (t) => {
  const whole = gzipSync(csvText(BIG))
  const folder = await folderOf(t, { 'a.csv.gz': whole.subarray(0, whole.length - 20) })
  const error = await failure(t, read(folder, configOf(['*.gz'])))
  t.is(error.code, 'SOURCE_DATA')
})

// ── Files ─────────────────────────────────────────────────────────────────────────────────────────

test('the temporary file of a fetched Parquet object goes with its last part', async (t) => {
  const folder = await folderOf(t, { 'lake/a.parquet': await parquetOf(rowsOf(0, 10)) })
  const config = configOf(['s3://lake/a.parquet'], { parquetBytesMax: 100 })
  const parts = (await Array.fromAsync(openFirst(folder, config))).filter(
    (event) => event.kind === 'parquet',
  )
  t.true(parts.length > 1)
  t.is(
    parts.reduce((sum, { rows }) => sum + rows, 0),
    10,
  )
  for (const part of parts) {
    await t.notThrowsAsync(access(part.path))
    await part.release()
    await part.release()
  }
  await t.throwsAsync(access(parts[0]!.path))
})

test('files are found by glob, each once, in order of their names; hidden ones are left alone', async (t) => {
  const names = [
    'b.csv',
    'a/z.csv',
    'a/b/[1].csv',
    '.hidden.csv',
    'a/.x/y.csv',
    'c.txt',
    'lake/k/1.csv',
    'lake/2.csv',
  ]
  const folder = await folderOf(t, Object.fromEntries(names.map((name) => [name, `x\n${name}\n`])))
  const found = async (...paths: string[]): Promise<Json[]> =>
    (await read(folder, configOf(paths))).rows.map(({ x }) => x ?? null)
  t.deepEqual(await found('**/*.csv', './b.csv', 'a/*.csv'), [
    'a/b/[1].csv',
    'a/z.csv',
    'b.csv',
    'lake/2.csv',
    'lake/k/1.csv',
  ])
  t.deepEqual(await found('a/b/[1].csv'), ['a/b/[1].csv'], 'a name that exists is that file')
  t.deepEqual(await found(join(folder, 'a/*.csv')), ['a/z.csv'])
  t.deepEqual(await found('s3://lake/**/*.csv'), ['lake/2.csv', 'lake/k/1.csv'])
  t.deepEqual(await found('s3://lake/k/1.csv'), ['lake/k/1.csv'])
  t.deepEqual(await found('none/*.csv'), [])
  t.is((await failure(t, found('none.csv'))).code, 'SOURCE_FATAL')
  t.is((await failure(t, found('s3://lake/none.csv'))).code, 'SOURCE_FATAL')
  t.is((await failure(t, found('c.txt'))).code, 'CONFIG_INVALID')
})

test('check says per pattern what it found, and warns when nothing matches', async (t) => {
  const folder = await folderOf(t, { 'a.csv': 'x\n1\n', 'b.parquet': 'no' })
  const findings = await createFileConnector(configOf(['*.csv', '*.nothing', 'b.parquet'])).check(
    contextOf(folder),
  )
  t.deepEqual(
    findings.map(({ severity }) => severity),
    ['ok', 'warn', 'error'],
  )
})

test('a cursor or dialect of another kind is refused, and a range too', async (t) => {
  const folder = await folderOf(t, { 'a.csv': 'x\n1\n' })
  for (const cursor of [5, [], { file: 5 }, { file: 'a.csv', offset: -1 }] as Json[])
    t.is((await failure(t, read(folder, configOf(['a.csv']), { cursor }))).code, 'STATE_INVALID')
  for (const csv of [
    { ...CSV, delimiter: ',,' },
    { ...CSV, quote: 'é' },
  ])
    t.is((await failure(t, read(folder, configOf(['a.csv'], { csv })))).code, 'CONFIG_INVALID')
})
