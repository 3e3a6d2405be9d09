/** The source of the many small shards: NDJSON files of fifty rows, the same every time. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export const ROWS_PER_SHARD = 50
const FILES_AT_ONCE = 64

/** What one reading of all rows must add up to. */
export type Audit = {
  readonly rows: number
  readonly distinctIds: number
  readonly sumIds: number
  readonly textLength: number
}

/** Columns of a row and their types in DuckDB. */
export const COLUMNS = {
  id: 'BIGINT',
  shard: 'BIGINT',
  name: 'VARCHAR',
  price: 'DOUBLE',
  at: 'VARCHAR',
} as const

function rowOf(id: number, shard: number): Readonly<Record<keyof typeof COLUMNS, string | number>> {
  return {
    id,
    shard,
    name: `item ${id} of shard ${shard}`,
    price: (id % 1_000) / 4,
    at: new Date(1_790_000_000_000 + id * 1_000).toISOString(),
  }
}

/** Writes `folder/NNNNNN.ndjson`, so many, and says what is in them. */
export async function writeShardFiles(folder: string, shards: number): Promise<Audit> {
  await mkdir(folder, { recursive: true })
  let [next, textLength, sumIds] = [0, 0, 0]
  const write = async (): Promise<void> => {
    while (next < shards) {
      const shard = next++
      let text = ''
      for (let row = 0; row < ROWS_PER_SHARD; row++) {
        const made = rowOf(shard * ROWS_PER_SHARD + row, shard)
        text += `${JSON.stringify(made)}\n`
        textLength += String(made.name).length
        sumIds += Number(made.id)
      }
      await writeFile(join(folder, `${String(shard).padStart(6, '0')}.ndjson`), text)
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, write))
  const rows = shards * ROWS_PER_SHARD
  return { rows, distinctIds: rows, sumIds, textLength }
}

/** In the order of `Audit`. */
export const AUDIT_SQL = 'count(*), count(distinct id), sum(id), sum(length(name))'

export function auditOf(values: readonly unknown[]): Audit {
  const [
    rows = Number.NaN,
    distinctIds = Number.NaN,
    sumIds = Number.NaN,
    textLength = Number.NaN,
  ] = values.map(Number)
  return { rows, distinctIds, sumIds, textLength }
}

/** Throws when a row is lost, doubled or changed. */
export function mustEqual(found: Audit, source: Audit, of: string): void {
  if (JSON.stringify(found) !== JSON.stringify(source))
    throw new Error(`${of} holds ${JSON.stringify(found)}, the source ${JSON.stringify(source)}`)
}
