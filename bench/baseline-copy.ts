/** The plain script people write: COPY to a csv file, then DuckDB from file to Parquet. Arguments: url, folder. */
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'

const [url = '', folder = ''] = process.argv.slice(2)
const csv = join(folder, 'events.csv')
const client = new pg.Client(url)
await client.connect()
await pipeline(client.query(copyTo('COPY events TO STDOUT (FORMAT csv)')), createWriteStream(csv))
await client.end()

const connection = await (await DuckDBInstance.create(':memory:')).connect()
await connection.run(`
  COPY (SELECT * FROM read_csv('${csv}', header = false, auto_detect = false, delim = ',', quote = '"', escape = '"', columns = {
    id: 'BIGINT', account: 'INTEGER', kind: 'VARCHAR', amount: 'DECIMAL(12,2)', note: 'VARCHAR',
    payload: 'VARCHAR', created_at: 'TIMESTAMPTZ', updated_at: 'TIMESTAMPTZ'}))
  TO '${join(folder, 'events.parquet')}' (FORMAT parquet, COMPRESSION zstd)`)
connection.closeSync()
