/**
 * Compares the table with its source, row by row, by programs that share nothing with the one that wrote
 * it: Postgres says what it holds, an independent reader of the Delta log says which files count, and
 * DuckDB puts the two side by side.
 */
import { join } from 'node:path'
import { rm } from 'node:fs/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import { folderSource, readDelta } from '../support/delta-reader.ts'
import { exportFlights } from './flights.ts'

export type Audit = {
  readonly source: number
  readonly table: number
  /** Rows of the source without an equal row in the table. */
  readonly lost: number
  /** Rows of the table beyond one for each key. */
  readonly doubled: number
}

export async function auditFlights(
  url: string,
  tableFolder: string,
  scratchFolder: string,
): Promise<Audit> {
  const csv = join(scratchFolder, 'source.csv')
  await exportFlights(url, csv)
  const { files } = await readDelta(folderSource(tableFolder))
  const paths = files.map((file) => `'${join(tableFolder, file.path)}'`).join(', ')
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    await connection.run(
      `create view source as select * from read_csv('${csv}', header = false, columns = {
         'id': 'bigint', 'flown_at': 'timestamp', 'delay': 'int', 'distance': 'int',
         'origin': 'varchar', 'destination': 'varchar' })`,
    )
    await connection.run(
      `create view lake as select id, cast(flown_at as timestamp) as flown_at, delay, distance,
         origin, destination from read_parquet([${paths}])`,
    )
    const reader = await connection.runAndReadAll(`
      select (select count(*) from source), (select count(*) from lake),
        (select count(*) from (select * from source except select * from lake)),
        (select count(*) - count(distinct id) from lake)`)
    const [source = 0, table = 0, lost = 0, doubled = 0] = (reader.getRows()[0] ?? []).map(Number)
    return { source, table, lost, doubled }
  } finally {
    connection.closeSync()
    instance.closeSync()
    await rm(csv, { force: true })
  }
}
