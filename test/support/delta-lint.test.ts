/** The Delta linter names every planted defect, each in its own copy of a sound table. */
import test from 'ava'
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  FIELD_IDS,
  ROWS_A,
  SCHEMA,
  STATS_A,
  add,
  buildGoodTable,
  commitFile,
  duck,
  info,
  logFile,
  protocol,
  readActions,
  remove,
  schemaString,
  txn,
  writeCheckpoint,
  writeCommit,
  writeParquet,
} from './delta-fixture.ts'
import type { Json } from './delta-fixture.ts'
import { auditDelta } from './delta-lint.ts'

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

type Plant = (folder: string) => Promise<unknown>

/** Rewrites the actions of one commit. */
const edit =
  (version: number, change: (actions: Json[]) => Json[]): Plant =>
  async (folder) =>
    writeCommit(folder, version, change(await readActions(folder, version)))

/** Merges fields into the first action of a kind; undefined deletes. */
const patch = (version: number, kind: string, fields: Json): Plant =>
  edit(version, (actions) => {
    const at = actions.findIndex((action) => kind in action)
    return actions.map((action, i) =>
      i === at ? { [kind]: { ...(action[kind] as Json), ...fields } } : action,
    )
  })
const append = (version: number, ...more: Json[]): Plant =>
  edit(version, (all) => [...all, ...more])
const drop = (version: number, kind: string): Plant =>
  edit(version, (all) => all.filter((action) => !(kind in action)))
const stats = (change: (text: string) => string): Plant =>
  patch(3, 'add', { stats: change(STATS_A) })
const schemaOf = (columns: Parameters<typeof schemaString>[0]): Plant =>
  patch(3, 'metaData', { schemaString: schemaString(columns) })
/** Replaces a.parquet by what the query gives, size corrected in the log. */
const data =
  (select: string, fieldIds = FIELD_IDS): Plant =>
  async (folder) => {
    const size = await writeParquet(join(folder, 'a.parquet'), select, fieldIds)
    await patch(3, 'add', { size })(folder)
  }
/** Three row groups: 2 048, 2 048 and 904 rows. */
const threeGroups = data(
  'select range as id from range(5000)',
  'ROW_GROUP_SIZE 2048, FIELD_IDS {id: 1}',
)
/** A count as the footer has it: the head of a 64-bit field that follows its neighbour, two bytes. */
const countBytes = (count: number): Buffer =>
  Buffer.from([0x16, 0x80 | ((count * 2) & 0x7f), (count * 2) >> 7])
/** Overwrites the last place of a count: of the file, or of its last row group with that many rows. */
const recount =
  (from: number, to: number): Plant =>
  async (folder) => {
    const path = join(folder, 'a.parquet')
    const bytes = await readFile(path)
    const at = bytes.lastIndexOf(countBytes(from))
    if (at < 0) throw new Error(`the footer has no count of ${from}`)
    countBytes(to).copy(bytes, at)
    await writeFile(path, bytes)
  }
const inTurn =
  (...plants: readonly Plant[]): Plant =>
  async (folder) => {
    for (const plant of plants) await plant(folder)
  }
const recast = (column: string, type: string): Plant =>
  data(`select * replace (${column}::${type} as ${column}) from (${ROWS_A})`)
const checkpoint =
  (change: (actions: Json[]) => Json[]): Plant =>
  async (folder) => {
    const actions = [...(await readActions(folder, 0)), ...(await readActions(folder, 1))]
    const kept = actions.filter(
      (a) => !('commitInfo' in a) && (a['txn'] as Json)?.['version'] !== 0,
    )
    const live = kept.filter((a) => (a['add'] as Json)?.['path'] !== 'c.parquet')
    const moved = live.map((a) => ((a['txn'] as Json)?.['version'] === 5 ? txn('app/2', 6) : a))
    await writeCheckpoint(folder, 2, change(moved))
  }
const hint =
  (fields: Json): Plant =>
  async (folder) => {
    const file = logFile(folder, '_last_checkpoint')
    const now = JSON.parse(await readFile(file, 'utf8')) as Json
    await writeFile(file, JSON.stringify({ ...now, ...fields }))
  }

const DEFECTS: readonly (readonly [string, Plant, RegExp])[] = [
  // The log.
  ['a missing version', (f) => rm(commitFile(f, 1)), /version 1 is missing/],
  [
    'no first versions and no checkpoint before them',
    async (f) => {
      await rm(commitFile(f, 0))
      await rm(logFile(f, '00000000000000000002.checkpoint.parquet'))
    },
    /starts at version 1 without a checkpoint/,
  ],
  [
    'a foreign file in the log',
    (f) => writeFile(logFile(f, 'notes.tmp'), ''),
    /foreign file: notes.tmp/,
  ],
  [
    'a commit name without padding',
    (f) => rename(commitFile(f, 3), logFile(f, '3.json')),
    /foreign file: 3.json/,
  ],
  [
    'two actions in one line',
    append(3, { ...txn('x', 1), ...remove('b.parquet') }),
    /line holds 2 actions/,
  ],
  ['a line that is not JSON', (f) => writeFile(commitFile(f, 3), '{"txn":'), /not JSON/],
  ['an empty commit', (f) => writeFile(commitFile(f, 3), ''), /version 3: holds no action/],
  [
    'a commit in another encoding',
    (f) => writeFile(commitFile(f, 3), Buffer.from([0xff])),
    /not UTF-8/,
  ],
  ['an unknown action', append(3, { domainMetadata: {} }), /unknown action domainMetadata/],
  ['no protocol at first', drop(0, 'protocol'), /first commit has no protocol/],
  ['no metaData at first', drop(0, 'metaData'), /first commit has no metaData/],
  ['two protocols', append(0, protocol), /2 protocol actions/],
  ['a newer protocol', patch(0, 'protocol', { minWriterVersion: 7 }), /protocol is 1\/7/],
  ['an empty feature list', patch(0, 'protocol', { readerFeatures: [] }), /readerFeatures below/],
  ['a commitInfo that is not first', append(3, info), /commitInfo is not the first/],
  [
    'a null in a required field',
    patch(3, 'add', { modificationTime: null }),
    /modificationTime is null/,
  ],
  ['a size as text', patch(3, 'add', { size: '12' }), /add.size is string/],
  ['no dataChange', patch(3, 'add', { dataChange: undefined }), /dataChange is undefined/],
  [
    'partitionColumns missing',
    patch(0, 'metaData', { partitionColumns: undefined }),
    /partitionColumns is undefined/,
  ],
  [
    'a table id that changes',
    patch(3, 'metaData', { id: '00000000-9794-4965-ba6e-6ee3c0d22af9' }),
    /id changes/,
  ],
  ['a table id that is no GUID', patch(0, 'metaData', { id: 'orders' }), /not a GUID/],
  [
    'partition columns that change',
    patch(3, 'metaData', { partitionColumns: ['id'] }),
    /partitionColumns change/,
  ],
  [
    'a configuration value that is a number',
    patch(0, 'metaData', { configuration: { a: 1 } }),
    /configuration a/,
  ],
  // Files and transactions.
  [
    'a path added twice',
    append(3, add('b.parquet', 1, '{}')),
    /b.parquet is added while it is live/,
  ],
  [
    'a path added and removed in one commit',
    append(3, remove('a.parquet')),
    /named twice in one commit/,
  ],
  [
    'a removed path that comes back',
    append(3, add('c.parquet', 1, '{}')),
    /added again after its removal/,
  ],
  ['a removal of what is not live', append(3, remove('nothing.parquet')), /removed but not live/],
  ['an absolute path', patch(3, 'add', { path: 's3://b/a.parquet' }), /is not relative/],
  ['a path with a raw space', patch(3, 'add', { path: 'a b.parquet' }), /is not URI-encoded/],
  ['a path in a hidden folder', patch(3, 'add', { path: '_x/a.parquet' }), /hidden from readers/],
  ['two txn of one application', append(3, txn('app/1', 9)), /two txn actions of app\/1/],
  ['a txn version that stands still', append(3, txn('app/2', 6)), /app\/2 goes from 6 to 6/],
  [
    'a partition value too many',
    patch(3, 'add', { partitionValues: { id: '1' } }),
    /partition values for \[id\]/,
  ],
  [
    'a live file that is missing',
    (f) => rm(join(f, 'b.parquet')),
    /b.parquet: is live but missing/,
  ],
  ['a wrong size', patch(3, 'add', { size: 7 }), /size is 7 in the log/],
  ['a time of 0', patch(3, 'add', { modificationTime: 0 }), /modificationTime is 0/],
  [
    'a truncated file',
    async (f) => {
      const body = await readFile(join(f, 'a.parquet'))
      await writeFile(join(f, 'a.parquet'), body.subarray(0, 200))
      await patch(3, 'add', { size: 200 })(f)
    },
    /a.parquet: cannot be read/,
  ],
  [
    'a flipped byte in the pages',
    async (f) => {
      const body = await readFile(join(f, 'a.parquet'))
      body.fill(0xa5, 30, 60)
      await writeFile(join(f, 'a.parquet'), body)
    },
    /a.parquet: /,
  ],
  // The schema.
  [
    'names that differ by case',
    schemaOf([...SCHEMA, ['ID', 'long']]),
    /id and ID differ at most by case/,
  ],
  ['a name with a space', schemaOf([...SCHEMA, ['a b', 'long']]), /a b.* has a character/],
  ['an unknown type', schemaOf([...SCHEMA, ['x', 'int64']]), /unknown type int64/],
  ['a decimal of 39 digits', schemaOf([...SCHEMA, ['x', 'decimal(39,0)']]), /unknown type decimal/],
  [
    'a case clash inside a struct',
    schemaOf([
      ...SCHEMA,
      [
        's',
        {
          type: 'struct',
          fields: [
            { name: 'k', type: 'long', nullable: true, metadata: {} },
            { name: 'K', type: 'long', nullable: true, metadata: {} },
          ],
        },
      ],
    ]),
    /s.k and s.K/,
  ],
  [
    'a schema that is no JSON',
    patch(3, 'metaData', { schemaString: 'struct' }),
    /schemaString is not a struct/,
  ],
  [
    'a partition column out of nowhere',
    patch(0, 'metaData', { partitionColumns: ['zip'] }),
    /zip is not in the schema/,
  ],
  // Parquet.
  ['a file without rows', data(`${ROWS_A} where false`), /has no row group/],
  [
    'a scrap of a row group',
    inTurn(threeGroups, recount(2048, 2000)),
    /row group 2 has only 2000 rows and is not the last/,
  ],
  ['a row group without rows', inTurn(threeGroups, recount(904, 0)), /row group 3 is empty/],
  [
    'a row count of the file that its row groups deny',
    inTurn(threeGroups, recount(5000, 5001)),
    /row groups hold 5000 rows, the file 5001/,
  ],
  [
    'a row group with more rows than values',
    inTurn(threeGroups, recount(5000, 5001), recount(904, 905)),
    /row group 3 has 905 rows, but 904 values of id/,
  ],
  ['no field ids', data(ROWS_A, ''), /column id has no field id/],
  [
    'a field id that moves',
    data(ROWS_A, FIELD_IDS.replace('name: 2', 'name: 22')),
    /name has the field id 22/,
  ],
  [
    'a column that the schema lacks',
    schemaOf(SCHEMA.slice(0, 9)),
    /has column cents, which the schema lacks/,
  ],
  [
    'timestamps without a zone',
    recast('seen', 'timestamp'),
    /seen \(timestamp\) is stored as INT64 TIMESTAMP MICROS local/,
  ],
  [
    'timestamps in milliseconds',
    recast('seen', 'timestamp_ms'),
    /stored as INT64 TIMESTAMP MILLIS/,
  ],
  ['a narrower integer', recast('small', 'bigint'), /small \(short\) is stored as INT64/],
  [
    'an unsigned integer',
    data(`select * replace (7::uinteger as small) from (${ROWS_A})`),
    /small \(short\) is stored as INT32 UINT_32/,
  ],
  ['a decimal of another scale', recast('cents', 'decimal(9,3)'), /stored as INT32 DECIMAL\(9,3\)/],
  [
    'a JSON annotation on a string',
    data(`select * replace ('{}'::json as name) from (${ROWS_A})`),
    /name \(string\) is stored as BYTE_ARRAY JSON/,
  ],
  [
    'text where bytes should be',
    recast('raw', 'varchar'),
    /raw \(binary\) is stored as BYTE_ARRAY UTF8/,
  ],
  // Statistics.
  ['no statistics', patch(3, 'add', { stats: undefined }), /has no statistics/],
  ['statistics that are no JSON', stats(() => 'x'), /not a JSON object/],
  ['a wrong numRecords', stats((s) => s.replace(':3,', ':4,')), /numRecords is 4, the file has 3/],
  [
    'a wrong nullCount',
    stats((s) => s.replace('"name":1', '"name":0')),
    /nullCount of name is 0, the file has 1/,
  ],
  [
    'a minimum that is too high',
    stats((s) => s.replace('{"id":-1', '{"id":0')),
    /minValues of id is 0, .* -1/,
  ],
  [
    'a maximum one below, beyond 2^53',
    stats((s) => s.replace('740993', '740992')),
    /maxValues of id is 9007199254740992/,
  ],
  [
    'a maximum decimal one unit below',
    stats((s) => s.replace('7891,"seen', '7890,"seen')),
    /maxValues of price/,
  ],
  [
    'a maximum timestamp that was truncated',
    stats((s) => s.replace('56.124Z', '56.123Z')),
    /maxValues of seen/,
  ],
  [
    'a maximum text that was cut',
    stats((s) => s.replace('"Zp"', '"Zo"')),
    /maxValues of name is "Zo"/,
  ],
  [
    'a maximum with NaN in the file',
    data(`select * replace ('nan'::double as ratio) from (${ROWS_A})`),
    /maxValues of ratio is 0.5, but the file holds NaN/,
  ],
  [
    'a decimal bound as text',
    stats((s) => s.replace('"cents":12.5', '"cents":"12.5"')),
    /maxValues of cents is "12.5", not a decimal/,
  ],
  [
    'a bound of a binary column',
    stats((s) => s.replace('"maxValues":{', '"maxValues":{"raw":"a",')),
    /raw: "binary" has no bounds/,
  ],
  [
    'a bound of an unknown column',
    stats((s) => s.replace('"maxValues":{', '"maxValues":{"zip":1,')),
    /maxValues has zip/,
  ],
  // Checkpoints.
  [
    'a checkpoint without a live file',
    checkpoint((all) => all.filter((a) => !('add' in a))),
    /checkpoint 2 differs|different live files/,
  ],
  [
    'a checkpoint with an older txn',
    checkpoint((all) =>
      all.map((a) => ((a['txn'] as Json)?.['appId'] === 'app/2' ? txn('app/2', 5) : a)),
    ),
    /checkpoint 2 differs/,
  ],
  [
    'a checkpoint without metaData',
    checkpoint((all) => all.filter((a) => !('metaData' in a))),
    /checkpoint 2 differs/,
  ],
  [
    'a checkpoint that is no Parquet',
    (f) => writeFile(logFile(f, '00000000000000000002.checkpoint.parquet'), 'PAR1'),
    /checkpoint 2 cannot be read/,
  ],
  [
    'a checkpoint with a narrow size',
    async (f) => {
      const file = logFile(f, '00000000000000000002.checkpoint.parquet')
      await (
        await duck()
      ).run(`create or replace table wide as select * from read_parquet('${file}')`)
      await (
        await duck()
      ).run(`copy (select * replace (case when add is null then null else struct_pack(
      path := add.path, partitionValues := add.partitionValues, size := add.size::integer,
      modificationTime := add.modificationTime, dataChange := add.dataChange, stats := add.stats)
      end as add) from wide) to '${file}' (format parquet)`)
    },
    /add.size is INT32, not INT64/,
  ],
  ['no _last_checkpoint', (f) => rm(logFile(f, '_last_checkpoint')), /no _last_checkpoint/],
  ['a hint to nowhere', hint({ version: 1 }), /names checkpoint 1, which does not exist/],
  ['a hint with a wrong size', hint({ size: 99 }), /says size 99, the checkpoint 6/],
  ['a hint with wrong bytes', hint({ sizeInBytes: 1 }), /says sizeInBytes 1/],
]

for (const [name, plant, expected] of DEFECTS)
  test(`the linter finds ${name}`, async (t) => {
    const folder = await copyOfGood()
    await plant(folder)
    const { problems } = await auditDelta(folder)
    t.true(
      problems.some((problem) => expected.test(problem)),
      problems.join('\n') || 'no problem',
    )
  })

test('row groups are no problem as long as they are whole', async (t) => {
  const folder = await copyOfGood()
  await threeGroups(folder)
  await stats(() => '{"numRecords":5000}')(folder)
  t.deepEqual((await auditDelta(folder)).problems, [])
})
