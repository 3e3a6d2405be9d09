/** Puts the flights of the vega-datasets package into a Postgres by its own COPY, and gets them out again. */
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { copyFrom } from '../support/copy-from.ts'

const PARQUET = fileURLToPath(
  new URL('../../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url),
)

/** Creates table flights(id, flown_at, delay, distance, origin, destination). */
export async function loadFlights(url: string, scratchFolder: string): Promise<void> {
  const csv = join(scratchFolder, 'flights.csv')
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run(
    `COPY (SELECT row_number() OVER () AS id, date, delay, distance, origin, destination FROM '${PARQUET}') TO '${csv}' (FORMAT csv, HEADER false)`,
  )
  connection.closeSync()
  instance.closeSync()
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(
      'create table flights (id bigint primary key, flown_at timestamp, delay int, distance int, origin text, destination text)',
    )
    await copyFrom(
      client,
      'copy flights from stdin (format csv)',
      createReadStream(csv, { highWaterMark: 1 << 20 }),
    )
    await client.query('analyze flights')
  } finally {
    await client.end()
    await rm(csv, { force: true })
  }
}

/** What Postgres holds now, as CSV. */
export async function exportFlights(url: string, path: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const rows = client.query(copyTo('copy flights to stdout (format csv)'))
    await pipeline(rows, createWriteStream(path))
  } finally {
    await client.end()
  }
}
