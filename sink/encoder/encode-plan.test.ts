import { createHash } from 'node:crypto'
import { readFile, writeFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test from 'ava'
import { openParquet, readObjects } from '../../test/support/delta-parquet.ts'
import { column, never, openEncoder, planOf, readRows } from '../../test/support/encoder.ts'
import type { EncoderBench } from '../../test/support/encoder.ts'
import { SEQUENCE_COLUMN, SEQUENCE_FIELD_ID } from '../plan/batch-plan.ts'
import type { BatchInput, BatchPlan, PartitionOutput } from '../plan/batch-plan.ts'
import { QUARANTINE_COLUMNS } from '../plan/quarantine-columns.ts'
import type { EncodedFile } from './encoder.ts'
import { PARTITIONS_MAX } from './limits.ts'

let bench: EncoderBench
test.before(async () => {
  bench = await openEncoder()
})
test.after.always(async () => bench[Symbol.asyncDispose]())

const ID = column(1, 'id', 'long')
const NAME = column(2, 'name', 'string')
const AT = column(3, 'at', 'timestamp')
const COLUMNS = [ID, NAME, AT]
const SEQUENCE = column(SEQUENCE_FIELD_ID, SEQUENCE_COLUMN, 'long')

async function csv(text: string, columns = COLUMNS): Promise<BatchInput> {
  const announced = columns.map((item) => ({ ...item, name: item.source }))
  return { format: 'csv', path: await bench.file(text), columns: announced }
}

async function encoded(input: BatchInput, plan: BatchPlan, by = bench) {
  const outcome = await by.encode(input, plan)
  if (outcome.kind !== 'encoded') throw new Error(`misfit in ${outcome.columns.join()}`)
  return outcome
}

const partition = (
  transform: PartitionOutput['transform'],
  on: string,
  name = `${on}_${transform}`,
): PartitionOutput => ({ name, transform, column: on })

// ── Merge ─────────────────────────────────────────────────────────────────────────────────────────

test('of rows with one key the last is kept, in the order of the batch, with the sequence', async (t) => {
  const merge = { key: ['id', 'name'], sequence: 42n }
  const input = await csv(
    '1,a,2024-01-01 00:00:00Z\n2,b,\n1,a,\n3,c,\n,x,\n,x,\n2,b,2024-02-02 00:00:00Z\n',
  )
  const { files, rows } = await encoded(input, planOf(COLUMNS, { merge }))
  t.is(rows, 5)
  const read = await readRows(files[0]!, [...COLUMNS, SEQUENCE])
  t.deepEqual(
    read.map(({ id, name, at, ...more }) => [id, name, at === null, more[SEQUENCE_COLUMN]]),
    [
      [1n, 'a', true, 42n],
      [3n, 'c', true, 42n],
      [null, 'x', true, 42n],
      [null, 'x', true, 42n],
      [2n, 'b', false, 42n],
    ],
  )
  const parquet = await openParquet(await readFile(files[0]!.localPath))
  t.is(parquet.columns.at(-1)!.field_id, SEQUENCE_FIELD_ID)
})

// ── Rejects ───────────────────────────────────────────────────────────────────────────────────────

test('rules reject rows with the text they came with; the first rule that holds gives the reason', async (t) => {
  const rejects: BatchPlan['rejects'] = [
    { kind: 'null-key', input: 'id', reason: 'no key' },
    { kind: 'misfit', input: 'at', fits: 'timestamp', reason: 'no time' },
    { kind: 'present', input: 'name', reason: 'name came' },
    { kind: 'empty-text', input: 'name', reason: 'never reached' },
  ]
  const input = await csv(
    '1,,\n,x,infinity\n2,"a ""q""\nb",\n3,,infinity\n4,,2024-01-01 00:00:00Z\n',
  )
  const { files, rejected } = await encoded(input, planOf(COLUMNS, { rejects }))
  t.deepEqual(
    (await readRows(files[0]!, [ID])).map(({ id }) => id),
    [1n, 4n],
  )
  t.deepEqual(rejected, [
    { reason: 'no key', raw: ',x,infinity' },
    { reason: 'name came', raw: '2,"a ""q""\nb",' },
    { reason: 'no time', raw: '3,,infinity' },
  ])
})

test('rejected JSON rows keep their line, bad lines before them not counted in', async (t) => {
  const path = await bench.file('{"id":1}\nbroken\n\n{"id": 2, "x":[ 1 ]}\n{"id":3}\n')
  const input: BatchInput = { format: 'ndjson', path }
  await bench.encoder.inspect(input, never)
  const rejects: BatchPlan['rejects'] = [{ kind: 'present', input: 'x', reason: 'no x here' }]
  const { files, rejected } = await encoded(input, planOf([ID], { rejects }))
  t.deepEqual(
    (await readRows(files[0]!, [ID])).map(({ id }) => id),
    [1n, 3n],
  )
  t.deepEqual(rejected, [
    { reason: 'not a JSON object', raw: 'broken' },
    { reason: 'no x here', raw: '{"id": 2, "x":[ 1 ]}' },
  ])
})

test('a plan without outputs rejects every row and writes no file', async (t) => {
  const rejects: BatchPlan['rejects'] = [
    { kind: 'present', input: 'id', reason: 'not allowed' },
    { kind: 'null-key', input: 'id', reason: 'not allowed' },
  ]
  const { files, rejected } = await encoded(await csv('1,,\n,,\n'), planOf([], { rejects }))
  t.deepEqual(files, [])
  t.deepEqual(
    rejected.map(({ raw }) => raw),
    ['1,,', ',,'],
  )
})

test('a value that does not fit is reported even while rules reject other rows', async (t) => {
  const rejects: BatchPlan['rejects'] = [{ kind: 'null-key', input: 'id', reason: 'no key' }]
  const outcome = await bench.encode(
    await csv('1,,never\n,,2024-01-01\n'),
    planOf(COLUMNS, { rejects }),
  )
  t.deepEqual(outcome, { kind: 'misfit', columns: ['at'] })
  const fine = await bench.encode(await csv('1,,\n,,never\n'), planOf(COLUMNS, { rejects }))
  t.is(fine.kind, 'encoded')
})

// ── Partitions ────────────────────────────────────────────────────────────────────────────────────

test('one file a partition, in order of values, null first, with its rows only', async (t) => {
  const input = await csv(
    '1,a,2024-03-01 23:59:59.999999Z\n2,b,2024-03-02 00:00:00Z\n3,c,\n4,d,2024-03-01 00:00:00Z\n5,e,0944-03-01 05:00:00Z\n',
  )
  const transforms = ['year', 'month', 'day', 'hour'] as const
  const partitions = transforms.map((transform) => partition(transform, 'at'))
  const { files, rows } = await encoded(input, planOf(COLUMNS, { partitions }))
  t.is(rows, 5)
  t.deepEqual(
    files.map((file) => file.partition),
    [
      { at_year: null, at_month: null, at_day: null, at_hour: null },
      { at_year: '2024', at_month: '2024-03', at_day: '2024-03-01', at_hour: '2024-03-01-00' },
      { at_year: '2024', at_month: '2024-03', at_day: '2024-03-01', at_hour: '2024-03-01-23' },
      { at_year: '2024', at_month: '2024-03', at_day: '2024-03-02', at_hour: '2024-03-02-00' },
      { at_year: '944', at_month: '0944-03', at_day: '0944-03-01', at_hour: '0944-03-01-05' },
    ],
  )
  const read = await Promise.all(files.map((file) => readRows(file, [ID])))
  t.deepEqual(
    read.flat().map(({ id }) => id),
    [3n, 4n, 1n, 2n, 5n],
  )
})

test('an identity partition is not in its files; its values are exact text', async (t) => {
  const columns = [column(1, 'id', 'long'), column(2, 'day', 'date'), column(3, 'who', 'string')]
  const input = await csv("1,2024-01-01,it's\n2,2024-01-01,\u00fc/x=1\n3,,\n", columns)
  const partitions = [partition('identity', 'day', 'day'), partition('identity', 'who', 'who')]
  const { files } = await encoded(input, planOf(columns, { partitions }))
  t.deepEqual(
    files.map((file) => [file.partition, file.rows]),
    [
      [{ day: null, who: null }, 1],
      [{ day: '2024-01-01', who: "it's" }, 1],
      [{ day: '2024-01-01', who: '\u00fc/x=1' }, 1],
    ],
  )
  const parquet = await openParquet(await readFile(files[1]!.localPath))
  t.deepEqual(
    parquet.columns.map(({ name }) => name),
    ['id'],
  )
})

test('many partitions keep their rows in the order of the batch', async (t) => {
  const columns = [column(1, 'id', 'long'), column(2, 'part', 'integer')]
  const text = Array.from({ length: 5_000 }, (_, id) => `${id},${(id * 37) % 100}\n`).join('')
  const partitions = [partition('identity', 'part', 'part')]
  const { files } = await encoded(await csv(text, columns), planOf(columns, { partitions }))
  t.is(files.length, 100)
  const file = files.find((item) => item.partition['part'] === '37')
  const ids = (await readRows(file!, [ID])).map(({ id }) => Number(id))
  t.deepEqual(
    ids,
    Array.from({ length: 50 }, (_, index) => 1 + index * 100),
  )
})

test('more partitions than allowed are an error that names the partitioning', async (t) => {
  const text = Array.from({ length: PARTITIONS_MAX + 1 }, (_, id) => `${id},,\n`).join('')
  const partitions = [partition('identity', 'id', 'id')]
  await t.throwsAsync(bench.encode(await csv(text), planOf(COLUMNS, { partitions })), {
    code: 'ENCODE_FAILED',
    message: /1001 partitions of identity\(id\)/,
  } as object)
})

// ── Same bytes ────────────────────────────────────────────────────────────────────────────────────

const hashOf = async (files: readonly EncodedFile[]): Promise<readonly string[]> =>
  Promise.all(
    files.map(async ({ localPath }) =>
      createHash('sha256')
        .update(await readFile(localPath))
        .digest('hex'),
    ),
  )

test('the same batch and plan give the same bytes, in a fresh process with other memory too', async (t) => {
  await using other = await openEncoder({ memoryBytes: 400e6 })
  const rows = Array.from({ length: 30_000 }, (_, id) => {
    const day = String(1 + (id % 3)).padStart(2, '0')
    return `${id % 20_000},name ${(id * 7919) % 1013},2024-01-${day} 00:00:00.${id}Z\n`
  })
  const input = await csv(rows.join(''))
  const plans = [
    planOf(COLUMNS),
    planOf(COLUMNS, { merge: { key: ['id'], sequence: 7n }, partitions: [partition('day', 'at')] }),
  ]
  for (const plan of plans) {
    const first = await hashOf((await encoded(input, plan)).files)
    t.true(first.length > 0)
    t.deepEqual(await hashOf((await encoded(input, plan)).files), first)
    t.deepEqual(await hashOf((await encoded(input, plan, other)).files), first)
  }
})

// ── Parquet input ─────────────────────────────────────────────────────────────────────────────────

test('a range of a Parquet file: columns as the file says, rejected rows as JSON', async (t) => {
  const source = await encoded(
    await csv(
      Array.from(
        { length: 100 },
        (_, id) => `${id},n${id},2024-01-01 00:00:${String(id % 60).padStart(2, '0')}Z\n`,
      ).join(''),
    ),
    planOf(COLUMNS),
  )
  const input: BatchInput = {
    format: 'parquet',
    path: source.files[0]!.localPath,
    from: 40,
    rows: 10,
  }
  const observed = await bench.encoder.inspect(input, never)
  t.deepEqual(
    observed.map(({ name, type, empty }) => [name, type, empty]),
    [
      ['id', 'long', false],
      ['name', 'string', false],
      ['at', 'timestamp', false],
    ],
  )
  const { files } = await encoded(input, planOf(COLUMNS))
  const read = await readRows(files[0]!, COLUMNS)
  t.deepEqual(
    read.map(({ id }) => id),
    Array.from({ length: 10 }, (_, index) => BigInt(40 + index)),
  )
  t.deepEqual(read[0], { id: 40n, name: 'n40', at: 1704067240000000n })
  const rejects: BatchPlan['rejects'] = [
    { kind: 'misfit', input: 'id', fits: 'decimal(1,0)', reason: 'long id' },
  ]
  const refused = await encoded({ ...input, rows: 1 }, planOf(COLUMNS, { rejects }))
  t.deepEqual(refused.rejected, [
    { reason: 'long id', raw: '{"id":40,"name":"n40","at":"2024-01-01 00:00:40+00"}' },
  ])
  await t.throwsAsync(bench.encode({ ...input, from: 95 }, planOf(COLUMNS)), {
    message: /10 rows, but 5/,
  })
})

// ── Rewrite ───────────────────────────────────────────────────────────────────────────────────────

async function fileOf(text: string, columns: typeof COLUMNS, sequence?: bigint): Promise<string> {
  const plan = planOf(columns, sequence === undefined ? {} : { merge: { key: ['id'], sequence } })
  return (await encoded(await csv(text, columns), plan)).files[0]!.localPath
}

test('a rewrite of files of older revisions keeps every row, columns matched by field id', async (t) => {
  const old = await fileOf('1,a\n2,b\n', [ID, { ...NAME, name: 'former_name' }])
  const recent = await fileOf('3,c,2024-01-01 00:00:00Z\n', COLUMNS)
  const file = await bench.encoder.rewrite(
    {
      inputs: [old, recent],
      columns: COLUMNS,
      mergeKey: undefined,
      partition: { at_day: null },
      outFolder: await bench.outFolder(),
    },
    never,
  )
  t.deepEqual(file.partition, { at_day: null })
  t.is(file.rows, 3)
  t.deepEqual(await readRows(file, COLUMNS), [
    { id: 1n, name: 'a', at: null },
    { id: 2n, name: 'b', at: null },
    { id: 3n, name: 'c', at: 1704067200000000n },
  ])
  t.regex(file.stats, /"numRecords":3,"minValues":\{"id":1,"name":"a"/)
})

test('a rewrite with a key keeps the newest row of each key and its sequence', async (t) => {
  const inputs = [
    await fileOf('1,first,\n2,first,\n3,first,\n', COLUMNS, 5n),
    await fileOf('2,later,\n', COLUMNS, 9n),
    await fileOf('1,earlier,\n2,middle,\n', COLUMNS, 4n),
  ]
  const file = await bench.encoder.rewrite(
    {
      inputs,
      columns: COLUMNS,
      mergeKey: ['id'],
      partition: {},
      outFolder: await bench.outFolder(),
    },
    never,
  )
  const read = await readRows(file, [ID, NAME, SEQUENCE])
  t.deepEqual(read.map(Object.values), [
    [1n, 'first', 5n],
    [3n, 'first', 5n],
    [2n, 'later', 9n],
  ])
})

test('a rewrite of many rows makes several row groups, bounded over all of them', async (t) => {
  const columns = [
    ID,
    column(2, 'amount', 'decimal(12,2)'),
    column(3, 'at', 'timestamp'),
    column(4, 'day', 'date'),
  ]
  const lineOf = (id: number): string =>
    `${id},${id % 2 === 0 ? -id : id}.50,2024-01-01 00:00:00.${String(id).padStart(6, '0')}Z,${id === 9 ? '0044-03-15 BC' : '2024-01-01'}\n`
  const rows = Array.from({ length: 130_000 }, (_, id) => lineOf(id))
  const inputs = [
    await fileOf(rows.slice(0, 60_000).join(''), columns),
    await fileOf(rows.slice(60_000).join(''), columns),
  ]
  const rewrite = async (): Promise<EncodedFile> =>
    bench.encoder.rewrite(
      { inputs, columns, mergeKey: undefined, partition: {}, outFolder: await bench.outFolder() },
      never,
    )
  const file = await rewrite()
  t.is(file.rows, 130_000)
  const bytes = await readFile(file.localPath)
  t.is((await openParquet(bytes)).rowGroups, 2)
  t.true(bytes.equals(await readFile((await rewrite()).localPath)), 'the same bytes again')
  t.deepEqual(JSON.parse(file.stats), {
    numRecords: 130_000,
    minValues: { id: 0, amount: -129998.5, at: '2024-01-01T00:00:00.000Z' },
    maxValues: { id: 129_999, amount: 129999.5, at: '2024-01-01T00:00:00.130Z' },
    nullCount: { id: 0, amount: 0, at: 0, day: 0 },
  })
})

// ── Small files ───────────────────────────────────────────────────────────────────────────────────

test('rejected rows become a file of the quarantine table', async (t) => {
  const row = { pipeline: 'shop', shard: 'orders/1', runId: 7, rejectedAt: 1704067200123 }
  const records = [
    { ...row, reason: 'malformed JSON', raw: '{"a":\n"\u0000 \ud800 \u{1f600}' },
    { ...row, reason: '', raw: '' },
  ]
  const file = await bench.encoder.encodeRejects(records, await bench.outFolder())
  t.deepEqual((await readRows(file, QUARANTINE_COLUMNS)).map(Object.values), [
    [
      'malformed JSON',
      '{"a":\n"\u0000 \ufffd \u{1f600}',
      'shop',
      'orders/1',
      7n,
      1704067200123000n,
    ],
    ['', '', 'shop', 'orders/1', 7n, 1704067200123000n],
  ])
  const parquet = await openParquet(await readFile(file.localPath))
  t.deepEqual(
    parquet.columns.map(({ field_id }) => field_id),
    [1, 2, 3, 4, 5, 6],
  )
})

test('a checkpoint has one action a row, maps with null values, lists, and absent parts as null', async (t) => {
  const actions = [
    { protocol: { minReaderVersion: 1, minWriterVersion: 2 } },
    {
      metaData: {
        id: 'uuid',
        name: 't',
        format: { provider: 'parquet', options: {} },
        schemaString: '{"type":"struct"}',
        partitionColumns: ['day'],
        configuration: { 'hakiri.key': '["id"]' },
      },
    },
    { txn: { appId: 'hakiri:1', version: 9007199254740993n, lastUpdated: 1 } },
    {
      add: {
        path: 'a.parquet',
        partitionValues: { day: null, who: 'x' },
        size: 5,
        modificationTime: 1,
        dataChange: false,
        stats: '{"numRecords":1}',
      },
    },
    {
      remove: {
        path: 'b.parquet',
        deletionTimestamp: 2,
        dataChange: true,
        extendedFileMetadata: true,
        partitionValues: {},
        size: 6,
      },
    },
  ]
  const text = actions.map((action) =>
    JSON.stringify(action, (_, value: unknown) =>
      typeof value === 'bigint' ? Number(value) : value,
    ),
  )
  const outPath = join(await bench.outFolder(), 'deep', 'c.checkpoint.parquet')
  await mkdir(dirname(outPath))
  const actionsPath = join(dirname(outPath), 'actions.ndjson')
  await writeFile(actionsPath, `${text.join('\n')}\n`)
  await bench.encoder.encodeCheckpoint(actionsPath, outPath)
  const read = await readObjects(await openParquet(await readFile(outPath)))
  t.deepEqual(read[0]!['protocol'], { minReaderVersion: 1, minWriterVersion: 2 })
  t.like(read[1]!['metaData'], {
    id: 'uuid',
    description: null,
    format: { provider: 'parquet', options: {} },
    partitionColumns: ['day'],
    configuration: { 'hakiri.key': '["id"]' },
  })
  t.deepEqual((read[3]!['add'] as { partitionValues: object }).partitionValues, {
    day: null,
    who: 'x',
  })
  t.is(read[3]!['remove'] ?? null, null)
  t.deepEqual(Object.keys(read[0]!), ['txn', 'add', 'remove', 'metaData', 'protocol'])
})
