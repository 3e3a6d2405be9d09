import test from 'ava'
import { access, appendFile, mkdtemp, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { connectorSuite, type KnownSource } from '../../../test/conformance/connector-suite.ts'
import {
  after,
  asCsvRow,
  type Body,
  configOf,
  contextOf,
  CSV,
  csvText,
  failure,
  folderOf,
  ndjsonText,
  OLD,
  openFilesUnder,
  openFirst,
  put,
  read,
  rowsOf,
} from '../../../test/support/file-source.ts'
import { readEvents, type Reading, type Row } from '../../../test/support/read-events.ts'
import { parquetOf } from '../../../test/support/write-parquet.ts'
import type { Json } from '../../../lib/json.ts'
import type { SourceEvent } from '../../connector.ts'
import type { FileConfig } from './config.ts'
import { createFileConnector } from './file.ts'
import { locateFiles } from './locate.ts'

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

test('a pattern that selects nothing is said when it is read', async (t) => {
  const folder = await folderOf(t, { 'a.csv': 'x\n1\n' })
  const said: string[] = []
  const context = {
    ...contextOf(folder),
    logger: { log: (level: string, message: string) => void said.push(`${level} ${message}`) },
  }
  await locateFiles(['*.csv', 'b/*.csv'], context)
  t.deepEqual(said, ['warn b/*.csv: no file matches'])
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
