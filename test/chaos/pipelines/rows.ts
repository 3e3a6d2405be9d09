/**
 * Compares the rows of a table with those of its source, by key and by a hash of all columns. Both sides
 * come as a key and one text for the whole row, made apart from each other. Pure.
 */
import { hash } from 'node:crypto'
import { named, type Problem } from './problem.ts'

/** A row by its key and the text of all its columns, the key's included. */
export type KeyedRow = { readonly key: number; readonly text: string }

export type Comparison = {
  readonly problems: readonly Problem[]
  readonly rows: number
}

/** What is lost, doubled, changed or extra, named by key. */
export async function compareRows(
  table: string,
  source: AsyncIterable<KeyedRow>,
  found: AsyncIterable<KeyedRow>,
): Promise<Comparison> {
  const expected = new Map<number, number>()
  for await (const { key, text } of source) {
    if (expected.has(key)) throw new Error(`the source of ${table} has key ${key} twice`)
    expected.set(key, fingerprint(text))
  }
  const seen = new Set<number>()
  const lists = {
    doubled: [] as number[],
    changed: [] as string[],
    extra: [] as string[],
  }
  for await (const { key, text } of found) {
    if (seen.has(key)) lists.doubled.push(key)
    else if (!expected.has(key)) lists.extra.push(`${key} ${text}`)
    else if (expected.get(key) !== fingerprint(text)) lists.changed.push(`${key} ${text}`)
    seen.add(key)
  }
  const lost = [...expected.keys()].filter((key) => !seen.has(key))
  const problems = Object.entries({ lost, ...lists }).flatMap(([check, all]): Problem[] =>
    all.length === 0 ? [] : [{ check, text: `${table}: ${named('rows', all)}` }],
  )
  return { problems, rows: seen.size }
}

/** 52 bits: two different rows of one key are taken for equal once in 2^52. */
function fingerprint(text: string): number {
  return Number.parseInt(hash('sha1', text, 'hex').slice(0, 13), 16)
}

/** A row's text from its columns' texts; null is no text. */
export function rowText(columns: readonly (string | null)[]): string {
  return JSON.stringify(columns)
}
