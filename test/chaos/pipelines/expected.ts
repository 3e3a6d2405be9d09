/** What each table must hold: the rows of its source, as the source itself tells them. */
import pg from 'pg'
import { API_COLUMNS, apiRow } from './api-rows.ts'
import type { PipelineName } from './manifest.ts'
import { type KeyedRow, rowText } from './rows.ts'

/** Columns of each table in the order of a row's text. */
export const TABLE_COLUMNS: { readonly [name in PipelineName]: readonly string[] } = {
  accounts: ['id', 'owner', 'balance', 'note'],
  events: ['part', ...API_COLUMNS],
  ledger: ['id', 'slot', 'note', 'amount', 'flag', 'at', 'ratio'],
  tickets: ['id', 'rev', 'title', 'price', 'updated_at'],
}

/** Texts that stand for the same values as those of the table: microseconds for times. */
const SOURCE_TEXTS: { readonly [column: string]: string } = {
  at: '(extract(epoch from at) * 1000000)::bigint::text',
  updated_at: '(extract(epoch from updated_at) * 1000000)::bigint::text',
}

const PAGE_ROWS = 20_000

/** Every row of a Postgres table, in order of its key; `pageRows` of them are asked for at a time. */
export async function* postgresRows(
  url: string,
  name: Exclude<PipelineName, 'events'>,
  pageRows = PAGE_ROWS,
): AsyncGenerator<KeyedRow> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const columns = TABLE_COLUMNS[name].map((column) => SOURCE_TEXTS[column] ?? `${column}::text`)
    for (let after = '0'; ;) {
      const { rows } = await client.query<(string | null)[]>({
        rowMode: 'array',
        // By the column itself: a bare "id" would be the text that is selected, and 10 come before 9.
        text: `select id::text, ${columns.join(', ')} from ${name} where id > $1 order by ${name}.id limit ${pageRows}`,
        values: [after],
      })
      for (const [key, ...texts] of rows) yield { key: Number(key), text: rowText(texts) }
      if (rows.length < pageRows) return
      after = String(rows.at(-1)?.[0])
    }
  } finally {
    await client.end()
  }
}

/** Every row of the API, when each part has `count` of them. */
export async function* apiRows(parts: number, count: number): AsyncGenerator<KeyedRow> {
  for (let part = 0; part < parts; part++)
    for (let n = 1; n <= count; n++) {
      const row = apiRow(part, n)
      const texts = API_COLUMNS.map((column) => (row[column] === null ? null : String(row[column])))
      yield { key: row.id, text: rowText([String(part), ...texts]) }
    }
}
