/** What the independent reader sees of a table, in the same form as summary.py prints it. */
import { createHash } from 'node:crypto'
import { readDelta } from '../support/delta-reader.ts'
import type { DeltaType, Value } from '../support/delta-values.ts'

export type ColumnSummary = { readonly nulls: number; readonly hash: string }
export type TableSummary = {
  readonly version: number
  readonly schema: readonly (readonly [name: string, type: DeltaType])[]
  readonly files: number
  readonly rows: number
  /** Over whole rows, in any order: ties the columns together. */
  readonly rowHash: string
  readonly columns: { readonly [name: string]: ColumnSummary }
}

export async function summarise(folder: string): Promise<TableSummary> {
  const table = await readDelta(folder)
  const nulls = new Map<string, number>()
  const sums = new Map<string, bigint>()
  let [rows, rowSum] = [0, 0n]
  for await (const row of table.rows()) {
    rows++
    const texts = table.schema.map(({ name, type }) => {
      const value = row[name] ?? null
      if (value === null) nulls.set(name, (nulls.get(name) ?? 0) + 1)
      const text = value === null ? '\0' : canonical(type, value)
      if (value !== null) sums.set(name, (sums.get(name) ?? 0n) + hashOf(text))
      return text
    })
    rowSum += hashOf(texts.join('\u001f'))
  }
  const columns = table.schema.map(
    ({ name }) => [name, { nulls: nulls.get(name) ?? 0, hash: hex(sums.get(name) ?? 0n) }] as const,
  )
  return {
    version: table.version,
    schema: table.schema.map(({ name, type }) => [name, type] as const),
    files: table.files.length,
    rows,
    rowHash: hex(rowSum),
    columns: Object.fromEntries(columns),
  }
}

function hex(sum: bigint): string {
  return BigInt.asUintN(64, sum).toString(16).padStart(16, '0')
}

function canonical(type: DeltaType, value: Value): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if ((type === 'float' || type === 'double') && typeof value === 'number') {
    const bits = Buffer.alloc(8)
    bits.writeDoubleBE(value)
    return Number.isNaN(value) ? 'nan' : bits.toString('hex')
  }
  if (typeof value === 'object') throw new Error('nested types are not compared')
  return String(value)
}

function hashOf(text: string): bigint {
  return createHash('sha256').update(text).digest().readBigUInt64BE(0)
}

/** Sentences for what differs; empty when both saw the same table. */
export function differences(ours: TableSummary, theirs: Partial<TableSummary>): string[] {
  const found: string[] = []
  const compare = (what: string, mine: unknown, other: unknown): void => {
    const [a, b] = [JSON.stringify(mine), JSON.stringify(other)]
    if (a !== b) found.push(`${what}: ${a} here, ${b ?? 'nothing'} there`)
  }
  compare('version', ours.version, theirs.version)
  compare('schema', ours.schema, theirs.schema)
  compare('files', ours.files, theirs.files)
  compare('rows', ours.rows, theirs.rows)
  for (const [name, column] of Object.entries(ours.columns)) {
    compare(`nulls of ${name}`, column.nulls, theirs.columns?.[name]?.nulls)
    compare(`values of ${name}`, column.hash, theirs.columns?.[name]?.hash)
  }
  compare('whole rows', ours.rowHash, theirs.rowHash)
  return found
}
