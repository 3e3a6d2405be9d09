/**
 * The handler that the job queues run: one NDJSON file in, one Parquet file out, with the settings of our
 * encoder and as durable as our store makes it. The engine lives in the process itself, which spares the
 * queues what a process of its own costs us.
 */
import { rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { syncFile, syncFolder } from '../../lib/system/fs.ts'
import { copyStatement, literal, ONE_ROW_GROUP } from '../../sink/encoder/sql-text.ts'
import { COLUMNS } from './shard-files.ts'

export type Handler = (file: string) => Promise<void>

export async function createHandler(outFolder: string): Promise<Handler> {
  const engine = await DuckDBInstance.create(':memory:', { threads: '1' })
  const columns = Object.entries(COLUMNS).map(([name, type]) => `${literal(name)}: '${type}'`)
  const fieldIds = new Map(Object.keys(COLUMNS).map((name, index) => [name, index + 1]))
  const idle: Awaited<ReturnType<typeof engine.connect>>[] = []
  return async (file) => {
    const connection = idle.pop() ?? (await engine.connect())
    const target = join(outFolder, `${basename(file, '.ndjson')}.parquet`)
    const select =
      `SELECT * FROM read_json(${literal(file)}, columns={${columns.join(', ')}}, ` +
      `format='newline_delimited', auto_detect=false)`
    await connection.run(copyStatement(select, `${target}.tmp`, fieldIds, ONE_ROW_GROUP))
    idle.push(connection)
    await syncFile(`${target}.tmp`)
    await rename(`${target}.tmp`, target)
    await syncFolder(outFolder)
  }
}
