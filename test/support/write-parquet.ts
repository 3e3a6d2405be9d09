/** Parquet files of given rows, written by the engine. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duck } from './delta-fixture.ts'
import type { Row } from './read-events.ts'

/** The bytes of a file that holds these rows, in order. */
export async function parquetOf(rows: readonly Row[]): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-rows-'))
  try {
    const [from, to] = [join(folder, 'rows.ndjson'), join(folder, 'rows.parquet')]
    await writeFile(from, rows.map((row) => JSON.stringify(row) + '\n').join(''))
    const engine = await duck()
    await engine.run(`copy (select * from read_json('${from}')) to '${to}' (format parquet)`)
    return await readFile(to)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
