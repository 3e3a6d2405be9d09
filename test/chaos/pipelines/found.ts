/** Rows of a table as the independent reader finds them, for the comparison with the source. */
import { type DeltaTable, readDataFile, type TableSource } from '../../support/delta-reader.ts'
import type { Value } from '../../support/delta-values.ts'
import { type KeyedRow, rowText } from './rows.ts'

/** Orders the versions of one key in the files of an upsert table; readers take the highest. */
const SEQUENCE = { name: '_hakiri_seq', type: 'long', nullable: true, metadata: {} } as const

/** Every row that lies in the files of one version, with its sequence where the table has one. */
export async function* fileRows(
  source: TableSource,
  table: DeltaTable,
  columns: readonly string[],
): AsyncGenerator<KeyedRow & { readonly sequence: bigint | undefined }> {
  const schema = [...table.schema, SEQUENCE]
  for (const file of table.files) {
    const { rows, columns: values } = await readDataFile(source, table.metadata, schema, file)
    const lists = columns.map((name) => values.get(name) ?? [])
    const [keys, sequences] = [values.get('id') ?? [], values.get(SEQUENCE.name) ?? []]
    for (let at = 0; at < rows; at++) {
      const sequence = sequences[at]
      yield {
        key: Number(keys[at]),
        text: rowText(lists.map((list) => textOf(list[at] ?? null))),
        sequence: typeof sequence === 'bigint' ? sequence : undefined,
      }
    }
  }
}

/**
 * The row of each key that readers see; a key twice with one sequence comes twice, for then nothing says
 * which of them it is.
 */
export async function* newestRows(
  rows: AsyncIterable<KeyedRow & { readonly sequence: bigint | undefined }>,
): AsyncGenerator<KeyedRow> {
  const newest = new Map<number, { sequence: bigint; texts: string[] }>()
  for await (const { key, text, sequence = -1n } of rows) {
    const best = newest.get(key)
    if (!best || sequence > best.sequence) newest.set(key, { sequence, texts: [text] })
    else if (sequence === best.sequence) best.texts.push(text)
  }
  for (const [key, { texts }] of newest) for (const text of texts) yield { key, text }
}

function textOf(value: Value): string | null {
  if (value === null) return null
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}
