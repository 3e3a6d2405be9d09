/** The independent reader, held against tables whose content is known to the last digit. */
import test from 'ava'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  add,
  buildGoodTable,
  commitFile,
  logFile,
  metaData,
  protocol,
  writeCommit,
  writeParquet,
} from './delta-fixture.ts'
import { assertDelta, auditDelta } from './delta-lint.ts'
import { folderSource, readDelta, subSource } from './delta-reader.ts'
import { compareValues, parsePartitionValue, parseText } from './delta-values.ts'
import type { Value } from './delta-values.ts'

let root = ''
let good = ''

test.before(async () => {
  root = await mkdtemp(join(tmpdir(), 'delta-'))
  good = join(root, 'good')
  await buildGoodTable(good)
})

test.after.always(() => rm(root, { recursive: true, force: true }))

let copies = 0
async function copyOfGood(): Promise<string> {
  const folder = join(root, `copy-${copies++}`)
  await cp(good, folder, { recursive: true })
  return folder
}

async function collect(
  rows: AsyncIterable<Record<string, Value>>,
): Promise<Record<string, Value>[]> {
  return Array.fromAsync(rows)
}

test('a sound table has no problems, and its counts are right', async (t) => {
  const audit = await auditDelta(good)
  t.deepEqual(audit, {
    problems: [],
    orphans: [],
    version: 3,
    liveFiles: 2,
    rows: 8,
    checkpoints: 1,
  })
})

test('rows keep every digit, microsecond and byte, and absent columns are null', async (t) => {
  const rows = await collect((await readDelta(good)).rows())
  t.is(rows.length, 8)
  t.deepEqual(rows[5], {
    id: 9007199254740993n,
    name: 'Zoë 🦀',
    price: '12345678901234567890123456.7891',
    seen: 1709210096123456n,
    day: 2932896,
    ratio: 0.5,
    raw: new Uint8Array([0, 255]),
    small: -3,
    flag: true,
    cents: '12.50',
  })
  t.like(rows[6], {
    id: -1n,
    name: '',
    price: '-0.0001',
    seen: -1n,
    day: -1,
    ratio: -1e300,
    cents: '-0.01',
  })
  t.deepEqual(Object.values(rows[7] ?? {}), [2n, ...Array.from({ length: 9 }, () => null)])
  t.like(rows[0], { id: 10n, name: 'row 10', price: null, raw: null })
})

test('reading from the checkpoint and replaying from zero give the same table', async (t) => {
  const [quick, full] = [await readDelta(good), await readDelta(good, { fromZero: true })]
  t.deepEqual(quick.files, full.files)
  t.deepEqual(quick.txns, full.txns)
  t.deepEqual(
    [...full.txns],
    [
      ['app/1', 2],
      ['app/2', 6],
    ],
  )
  t.deepEqual(quick.removed, full.removed)
})

test('an older version shows what was live then', async (t) => {
  const table = await readDelta(good, { version: 1 })
  t.deepEqual(
    table.files.map((file) => file.path),
    ['b.parquet', 'c.parquet'],
  )
  t.deepEqual(
    table.schema.map((field) => field.name),
    ['id', 'name'],
  )
  await t.throwsAsync(readDelta(good, { version: 4 }), { message: /no version 4/ })
})

test('a table whose early commits were cleaned up is read from its checkpoint', async (t) => {
  const folder = await copyOfGood()
  for (const version of [0, 1, 2]) await rm(commitFile(folder, version))
  t.deepEqual((await auditDelta(folder)).problems, [])
  t.is((await collect((await readDelta(folder)).rows())).length, 8)
})

test('a table below a prefix of a bucket is read through the same interface', async (t) => {
  const table = await readDelta(subSource(folderSource(root), 'good'))
  t.is((await collect(table.rows())).length, 8)
})

test('partition values come back typed, from the log and not from the folder name', async (t) => {
  const folder = await mkdtemp(join(root, 'partitioned-'))
  await mkdir(logFile(folder, ''), { recursive: true })
  await mkdir(join(folder, 'day=x'), { recursive: true })
  const file = join(folder, 'day=x/a b.parquet')
  const size = await writeParquet(file, 'select 1::bigint as id', 'FIELD_IDS {id: 1}')
  const columns = [
    ['id', 'long'],
    ['day', 'date'],
    ['region', 'string'],
  ] as const
  await writeCommit(folder, 0, [
    protocol,
    metaData(columns, ['day', 'region']),
    add('day=x/a%20b.parquet', size, '{"numRecords":1}', { day: '2024-02-29', region: '' }),
  ])
  t.deepEqual((await auditDelta(folder)).problems, [])
  t.deepEqual(await collect((await readDelta(folder)).rows()), [
    { id: 1n, day: 19782, region: null },
  ])
})

test('a reader version or feature that is not known is refused', async (t) => {
  const folder = await copyOfGood()
  const features = { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['columnMapping'] }
  await writeCommit(folder, 4, [{ protocol: features }])
  await t.throwsAsync(readDelta(folder), { message: /columnMapping is not known/ })
})

test('unreferenced data files are orphans, not problems', async (t) => {
  const folder = await copyOfGood()
  await writeFile(join(folder, 'left-over.parquet'), 'x')
  await mkdir(join(folder, '_hidden'))
  await writeFile(join(folder, '_hidden/ignored.parquet'), 'x')
  const audit = await auditDelta(folder)
  t.deepEqual(audit.problems, [])
  t.deepEqual(audit.orphans, ['left-over.parquet'])
})

test('text forms of every type are read exactly, and nonsense is refused', (t) => {
  t.is(parseText('long', '9223372036854775807'), 9223372036854775807n)
  t.is(parseText('decimal(10,3)', '1.5e2'), '150.000')
  t.is(parseText('timestamp', '2024-01-01 00:00:00.000001'), 1704067200000001n)
  t.is(parseText('timestamp', '2024-01-01T01:00:00+01:00'), 1704067200000000n)
  t.deepEqual(parsePartitionValue('binary', '\u0001\u00ff'), new Uint8Array([1, 255]))
  for (const [type, text] of [
    ['short', '32768'],
    ['date', '2023-02-29'],
    ['decimal(10,1)', '0.25'],
    ['boolean', 'yes'],
    ['double', ''],
    ['timestamp', '2024-01-01'],
  ] as const)
    t.throws(() => parseText(type, text), undefined, `${type} ${text}`)
  t.true(compareValues('string', '\u{1F980}', '\uFFFD') > 0, 'code point order, not UTF-16 order')
  t.true(compareValues('decimal(10,2)', '9.00', '10.00') < 0, 'by number, not by text')
})

test('assertDelta throws with every problem of an unsound table', async (t) => {
  const folder = await copyOfGood()
  await rm(join(folder, 'a.parquet'))
  await t.throwsAsync(assertDelta(folder), {
    message: /not sound:\n  file a.parquet: is live but missing/,
  })
  t.is((await assertDelta(good)).rows, 8)
})
