/** DuckDB alone, with its defaults: NDJSON file in, one Parquet file out. Arguments: input, folder. */
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'

const [input = '', folder = ''] = process.argv.slice(2)
const connection = await (await DuckDBInstance.create(':memory:')).connect()
await connection.run(
  `COPY (SELECT * FROM read_json('${input}', format = 'newline_delimited')) TO '${join(folder, 'issues.parquet')}' (FORMAT parquet, COMPRESSION zstd)`,
)
connection.closeSync()
