/**
 * Delta tables made by hand, action by action, for the tests of the independent reader and linter.
 * One sound table with everything that matters in it; tests copy it and plant defects.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import type { DuckDBConnection } from '@duckdb/node-api'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export type Json = { [key: string]: unknown }

export const SCHEMA = [
  ['id', 'long', 1],
  ['name', 'string', 2],
  ['price', 'decimal(30,4)', 3],
  ['seen', 'timestamp', 4],
  ['day', 'date', 5],
  ['ratio', 'double', 6],
  ['raw', 'binary', 7],
  ['small', 'short', 8],
  ['flag', 'boolean', 9],
  ['cents', 'decimal(9,2)', 10],
] as const

export const FIELD_IDS = `FIELD_IDS {${SCHEMA.map(([name, , id]) => `${name}: ${id}`).join(', ')}}`
export const ROWS_A = `select * from (values
  (9007199254740993::bigint, 'Zoë 🦀', 12345678901234567890123456.7891::decimal(30,4),
   '2024-02-29 12:34:56.123456+00'::timestamptz, date '9999-12-31', 0.5::double,
   '\\x00\\xFF'::blob, (-3)::smallint, true, 12.50::decimal(9,2)),
  (-1, '', -0.0001, '1969-12-31 23:59:59.999999+00', date '1969-12-31', -1e300, ''::blob, 7, false, -0.01),
  (2, null, null, null, null, null, null, null, null, null)
) t(id, name, price, seen, day, ratio, raw, small, flag, cents)`
const ROWS_B = `select range as id, 'row ' || range as name from range(10, 15)`

let connection: Promise<DuckDBConnection> | undefined

/** One in-memory database for the process, in UTC. */
export function duck(): Promise<DuckDBConnection> {
  connection ??= connect()
  return connection
}

async function connect(): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const opened = await instance.connect()
  await opened.run(`set TimeZone = 'UTC'`)
  return opened
}

export async function writeParquet(
  path: string,
  select: string,
  fieldIds = FIELD_IDS,
): Promise<number> {
  const options = ['format parquet', 'compression zstd', fieldIds].filter(Boolean).join(', ')
  await (await duck()).run(`copy (${select}) to '${path}' (${options})`)
  return (await stat(path)).size
}

export const schemaString = (
  columns: readonly (readonly [string, unknown, ...unknown[]])[],
): string =>
  JSON.stringify({
    type: 'struct',
    fields: columns.map(([name, type]) => ({ name, type, nullable: true, metadata: {} })),
  })

export const metaData = (
  columns: Parameters<typeof schemaString>[0],
  partitionColumns: string[],
): Json => ({
  metaData: {
    id: '5fba94ed-9794-4965-ba6e-6ee3c0d22af9',
    format: { provider: 'parquet', options: {} },
    schemaString: schemaString(columns),
    partitionColumns,
    configuration: {},
    createdTime: 1700000000000,
  },
})

export const add = (
  path: string,
  size: number,
  stats: string,
  partitionValues: Json = {},
): Json => ({
  add: { path, partitionValues, size, modificationTime: 1700000000000, dataChange: true, stats },
})
export const remove = (path: string): Json => ({
  remove: { path, deletionTimestamp: 1700000000001, dataChange: true },
})
export const txn = (appId: string, version: number): Json => ({ txn: { appId, version } })
export const info: Json = { commitInfo: { timestamp: 1700000000000, operation: 'WRITE' } }
export const protocol: Json = { protocol: { minReaderVersion: 1, minWriterVersion: 2 } }

export const logFile = (folder: string, name: string): string => join(folder, '_delta_log', name)
export const commitFile = (folder: string, version: number): string =>
  logFile(folder, `${String(version).padStart(20, '0')}.json`)

export async function writeCommit(folder: string, version: number, actions: Json[]): Promise<void> {
  const lines = actions.map((action) => JSON.stringify(action) + '\n').join('')
  await writeFile(commitFile(folder, version), lines)
}

export async function readActions(folder: string, version: number): Promise<Json[]> {
  const text = await readFile(commitFile(folder, version), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Json)
}

export const STATS_A =
  '{"numRecords":3,"minValues":{"id":-1,"name":"","price":-0.0001,' +
  '"seen":"1969-12-31T23:59:59.999Z","day":"1969-12-31","ratio":-1e300,"small":-3,"cents":-0.01},' +
  '"maxValues":{"id":9007199254740993,"name":"Zp","price":12345678901234567890123456.7891,' +
  '"seen":"2024-02-29T12:34:56.124Z","day":"9999-12-31","ratio":0.5,"small":7,"cents":12.5},' +
  '"nullCount":{"id":0,"name":1,"price":1,"seen":1,"day":1,"ratio":1,"small":1,"cents":1}}'
const STATS_B =
  '{"numRecords":5,"minValues":{"id":10,"name":"row 10"},"maxValues":{"id":14,"name":"row 14"},' +
  '"nullCount":{"id":0,"name":0}}'

/** Versions: 0 create + a, 1 add b and c, 2 remove c (checkpoint), 3 add a column. */
export async function buildGoodTable(folder: string): Promise<void> {
  await mkdir(logFile(folder, ''), { recursive: true })
  const short = SCHEMA.slice(0, 2)
  const twoIds = 'FIELD_IDS {id: 1, name: 2}'
  const sizeA = await writeParquet(join(folder, 'a.parquet'), ROWS_A)
  const sizeB = await writeParquet(join(folder, 'b.parquet'), ROWS_B, twoIds)
  const sizeC = await writeParquet(join(folder, 'c.parquet'), ROWS_B, twoIds)
  await writeCommit(folder, 0, [info, protocol, metaData(short, []), txn('app/1', 0)])
  await writeCommit(folder, 1, [
    info,
    txn('app/1', 1),
    txn('app/2', 5),
    add('b.parquet', sizeB, STATS_B),
    add('c.parquet', sizeC, STATS_B),
  ])
  await writeCommit(folder, 2, [info, txn('app/2', 6), remove('c.parquet')])
  await writeCheckpoint(folder, 2, [
    protocol,
    metaData(short, []),
    txn('app/1', 1),
    txn('app/2', 6),
    add('b.parquet', sizeB, STATS_B),
    remove('c.parquet'),
  ])
  await writeCommit(folder, 3, [
    info,
    metaData(SCHEMA, []),
    txn('app/1', 2),
    add('a.parquet', sizeA, STATS_A),
  ])
}

const CHECKPOINT_COLUMNS = `{
  txn: 'struct(appId varchar, version bigint, lastUpdated bigint)',
  add: 'struct(path varchar, partitionValues map(varchar, varchar), size bigint,
    modificationTime bigint, dataChange boolean, stats varchar, tags map(varchar, varchar))',
  remove: 'struct(path varchar, deletionTimestamp bigint, dataChange boolean)',
  metaData: 'struct(id varchar, name varchar, format struct(provider varchar,
    options map(varchar, varchar)), schemaString varchar, partitionColumns varchar[],
    configuration map(varchar, varchar), createdTime bigint)',
  protocol: 'struct(minReaderVersion integer, minWriterVersion integer)'}`

export async function writeCheckpoint(
  folder: string,
  version: number,
  actions: Json[],
): Promise<void> {
  const spool = `${folder}.checkpoint.ndjson`
  await writeFile(spool, actions.map((action) => JSON.stringify(action)).join('\n'))
  const name = `${String(version).padStart(20, '0')}.checkpoint.parquet`
  const select = `select * from read_json('${spool}', format = 'newline_delimited',
    columns = ${CHECKPOINT_COLUMNS})`
  const sizeInBytes = await writeParquet(logFile(folder, name), select, '')
  const numOfAddFiles = actions.filter((action) => 'add' in action).length
  const hint = { version, size: actions.length, sizeInBytes, numOfAddFiles }
  await writeFile(logFile(folder, '_last_checkpoint'), JSON.stringify(hint))
}
