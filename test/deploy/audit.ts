/** Compares the table with the API, row by row, with a reader that shares no code with Hakiri. */
import { assertDelta } from '../support/delta-lint.ts'
import { readDelta, type TableSource } from '../support/delta-reader.ts'
import { rowsOf } from '../support/gated-api.ts'
import { until } from '../support/until.ts'

const PUBLISHED_MS = 60_000

export type Audit = {
  readonly rows: number
  readonly lost: number
  readonly doubled: number
  readonly foreign: number
}

/** Whether each row of each part is there once, with what the API says, and nothing else. */
async function compareTable(
  table: TableSource,
  parts: readonly string[],
  rows: number,
): Promise<Audit> {
  await assertDelta(table)
  const seen = new Map<number, string>()
  let doubled = 0
  for await (const row of (await readDelta(table)).rows()) {
    const id = Number(row['id'])
    if (seen.has(id)) doubled += 1
    seen.set(id, JSON.stringify([row['part'], row['note']]))
  }
  let lost = 0
  let expected = 0
  for (const part of parts)
    for (const { id, note } of rowsOf(part, rows)) {
      expected += 1
      if (seen.get(id) !== JSON.stringify([part, note])) lost += 1
    }
  return { rows: expected, lost, doubled, foreign: seen.size - (expected - lost) }
}

/** Waits until the table is whole, since what is committed is published soon, not at once. */
export async function auditTable(
  table: TableSource,
  parts: readonly string[],
  rows: number,
): Promise<Audit> {
  let last: Audit | undefined
  return until(
    'the table is whole',
    async () => {
      last = await compareTable(table, parts, rows)
      const { doubled, foreign, lost } = last
      if (doubled + foreign > 0) throw new Error(`the table is wrong: ${JSON.stringify(last)}`)
      return lost === 0 ? last : undefined
    },
    PUBLISHED_MS,
    () => Promise.resolve(JSON.stringify(last)),
  )
}
