/** The other script people write: keyset pages through a driver, rows into a JavaScript Parquet writer. */
import { join } from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import pg from 'pg'

const [url = '', folder = ''] = process.argv.slice(2)
const PAGE_ROWS = 50_000
const TYPES = {
  id: 'INT64',
  account: 'INT32',
  kind: 'STRING',
  amount: 'DOUBLE',
  note: 'STRING',
  payload: 'JSON',
  created_at: 'TIMESTAMP',
  updated_at: 'TIMESTAMP',
} as const

const client = new pg.Client(url)
await client.connect()
let last = '0'
for (let page = 0; ; page++) {
  const { rows } = await client.query<Record<string, unknown>>(
    `select * from events where id > $1 order by id limit ${PAGE_ROWS}`,
    [last],
  )
  const tail = rows.at(-1)
  if (!tail) break
  last = String(tail['id'])
  const columnData = Object.entries(TYPES).map(([name, type]) => ({
    name,
    type,
    data: rows.map((row) => value(name, row[name])),
  }))
  parquetWriteFile({
    filename: join(folder, `part-${String(page).padStart(5, '0')}.parquet`),
    columnData,
  })
}
await client.end()

function value(name: string, raw: unknown): unknown {
  if (raw === null) return null
  if (name === 'id') return BigInt(raw as string)
  return name === 'amount' ? Number(raw) : raw
}
