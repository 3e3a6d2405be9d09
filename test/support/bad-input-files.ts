/** Bad files: each case reads a folder of its own with one bad file, or changes a file that was read. */
import type { ExecutionContext } from 'ava'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { toml, type Bench } from './bad-input-lab.ts'
import { rowsOf, type Case, type Refusal } from './bad-input-case.ts'

const config = (path: string): string =>
  toml({ drop: `source = { type = "file", paths = ["${path}"], table = "rows" }\n` })

const refusedFile = (
  name: string,
  path: string,
  bytes: string | Uint8Array,
  expect: Refusal,
): Case => ({
  name,
  toml: config(path),
  prepare: (bench) => bench.write(path, bytes),
  command: ['run', 'drop'],
  expect,
})

type Rows = readonly Record<string, unknown>[]

const storedFile = (
  name: string,
  path: string,
  bytes: string | Uint8Array,
  then: (t: ExecutionContext, rows: Rows, rejected: readonly string[]) => void,
): Case => ({
  name,
  toml: config(path),
  prepare: (bench) => bench.write(path, bytes),
  command: ['run', 'drop'],
  expect: {
    exit: 0,
    holds: async (t, bench) => {
      const rejected = await rowsOf(bench, '_quarantine.drop.rows').catch((): Rows => [])
      const rows = await rowsOf(bench, 'drop.rows').catch((): Rows => [])
      then(
        t,
        rows,
        rejected.map((row) => String(row['reason'])),
      )
    },
  },
})

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const ids = (rows: Rows): readonly number[] => rows.map((row) => Number(row['id']))

const ONCE: readonly Case[] = [
  storedFile(
    'csv: a line with too many fields',
    'in/a.csv',
    'id,b\n1,x\n2,y,z\n3,w\n',
    (t, rows, why) => {
      t.deepEqual(ids(rows), [1, 3])
      t.is(why.length, 1)
      t.regex(why[0] ?? '', /3 fields/)
    },
  ),
  storedFile(
    'csv: a line that is not UTF-8',
    'in/a.csv',
    latin1('id,b\n1,x\n2,\xe9\n3,w\n'),
    (t, rows, why) => {
      t.deepEqual(ids(rows), [1, 3])
      t.regex(why.join(), /UTF-8/)
    },
  ),
  storedFile('csv: a byte order mark', 'in/a.csv', '\uFEFFid,b\n1,x\n', (t, rows) => {
    t.deepEqual(rows, [{ id: 1n, b: 'x' }])
  }),
  storedFile('csv: names that differ by case alone', 'in/a.csv', 'id,Id\n1,2\n', (t, rows) => {
    t.deepEqual(rows, [{ id: 1n, id_2: 2n }])
  }),
  storedFile('csv: a name twice in the header', 'in/a.csv', 'id,b,b\n1,2,3\n', (t, rows) => {
    t.deepEqual(Object.values(rows[0] ?? {}).map(Number), [1, 2, 3])
    t.deepEqual(Object.keys(rows[0] ?? {}).slice(0, 2), ['id', 'b'])
  }),
  refusedFile('csv: a quote that never closes in the header', 'in/a.csv', '"id,b\n1,2\n', {
    exit: 1,
    code: 'SOURCE_DATA',
    message: 'cannot be read as CSV',
  }),
  storedFile('csv: an empty file', 'in/a.csv', '', (t, rows) => void t.deepEqual(rows, [])),
  storedFile('csv: a header and nothing else', 'in/a.csv', 'id,b\n', (t, rows) => {
    t.deepEqual(rows, [])
  }),
  refusedFile('csv: UTF-16', 'in/a.csv', Buffer.from('\uFEFFid,b\n1,2\n', 'utf16le'), {
    exit: 1,
    code: 'SOURCE_DATA',
    message: 'UTF-16',
  }),
  storedFile(
    'ndjson: a line that is no JSON',
    'in/a.ndjson',
    '{"id":1}\n{"id":2\n{"id":3}\n',
    (t, rows, why) => {
      t.deepEqual(ids(rows), [1, 3])
      t.is(why.length, 1)
    },
  ),
  storedFile(
    'ndjson: a line that is not UTF-8',
    'in/a.ndjson',
    latin1('{"id":1}\n{"id":2,"b":"\xe9"}\n'),
    (t, rows, why) => {
      t.deepEqual(ids(rows), [1])
      t.deepEqual(why, ['the line is not valid UTF-8'])
    },
  ),
  storedFile('ndjson: a line that is a number', 'in/a.ndjson', '{"id":1}\n7\n', (t, rows, why) => {
    t.deepEqual(ids(rows), [1])
    t.deepEqual(why, ['the line is not a JSON object'])
  }),
  refusedFile(
    'gzip that was cut off',
    'in/a.ndjson.gz',
    gzipSync('{"id":1}\n'.repeat(9)).subarray(0, 30),
    {
      exit: 1,
      code: 'SOURCE_DATA',
      message: 'cannot be unpacked',
    },
  ),
  refusedFile('json that was cut off', 'in/a.json', '[{"id":1},{"id":', {
    exit: 1,
    code: 'SOURCE_DATA',
    message: 'cannot be read as JSON',
    // What was whole is kept for the next try, beside the table: nobody sees half a file.
    instead: async (t, bench) => void (await t.throwsAsync(rowsOf(bench, 'drop.rows'))),
  }),
  refusedFile('parquet that was cut off', 'in/a.parquet', 'PAR1 and then nothing', {
    exit: 1,
    code: 'SOURCE_DATA',
    message: 'is not a complete Parquet file',
  }),
  refusedFile('an ending that tells no format', 'in/a.xyz', 'id\n1\n', {
    exit: 2,
    code: 'CONFIG_INVALID',
    message: 'does not tell its format',
  }),
  {
    name: 'a glob without a match is an empty source',
    toml: config('in/*.csv'),
    command: ['run', 'drop'],
    expect: {
      exit: 0,
      holds: async (t, bench) => void (await t.throwsAsync(rowsOf(bench, 'drop.rows'))),
    },
  },
]

const growing = toml({
  drop: 'source = { type = "file", paths = ["in/a.ndjson"], table = "rows" }\nmode = "incremental"\nwrite = { mode = "append" }\n',
})

/** The file is read once, then `change` happens to it. */
const later = (
  name: string,
  change: (bench: Bench) => Promise<unknown>,
  expect: Case['expect'],
): Case => ({
  name,
  toml: growing,
  prepare: async (bench) => {
    await bench.write('in/a.ndjson', '{"id":1}\n{"id":2}\n')
    await bench.run('run', 'drop')
    await change(bench)
  },
  command: ['run', 'drop'],
  expect,
})

const LATER: readonly Case[] = [
  later(
    'a file that shrank after it was read',
    (bench) => bench.write('in/a.ndjson', '{"id":1}\n'),
    {
      exit: 1,
      code: 'SOURCE_CHANGED',
      message: 'after it was read',
    },
  ),
  later(
    'a file that was taken away after it was read',
    (bench) => rm(join(bench.folder, 'in/a.ndjson')),
    {
      exit: 1,
      code: 'SOURCE_FATAL',
      message: 'there is no file in/a.ndjson',
    },
  ),
  later(
    'a last line that is still being written',
    (bench) => bench.write('in/a.ndjson', '{"id":1}\n{"id":2}\n{"id":3}\n{"id":'),
    {
      exit: 0,
      holds: async (t, bench) => void t.deepEqual(ids(await rowsOf(bench, 'drop.rows')), [1, 2, 3]),
    },
  ),
]

export const FILE_CASES: readonly Case[] = [...ONCE, ...LATER]
