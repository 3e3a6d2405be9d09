/** Reads a connector's events as a host would, down to single rows, with the points it may resume from. */
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import type { SourceEvent } from '../../connector/connector.ts'
import type { SourceColumn } from '../../lib/column.ts'
import type { Json } from '../../lib/json.ts'

export type Row = { readonly [column: string]: Json }

/** A cursor, the state at it, and how much had come when it did. */
export type Mark = {
  readonly cursor: Json
  readonly state: { readonly [key: string]: Json }
  readonly rows: number
  readonly rejects: number
}

export type Reading = {
  readonly rows: readonly Row[]
  readonly rejects: readonly string[]
  readonly reasons: readonly string[]
  readonly schemas: readonly (readonly SourceColumn[])[]
  readonly marks: readonly Mark[]
  /** Events whose number of rows is not what they say. */
  readonly miscounted: readonly string[]
}

/** Drains the events; every Parquet part is released. */
export async function readEvents(events: AsyncIterable<SourceEvent>): Promise<Reading> {
  const rows: Row[] = []
  const rejects: string[] = []
  const reasons: string[] = []
  const schemas: (readonly SourceColumn[])[] = []
  const marks: Mark[] = []
  const miscounted: string[] = []
  let state: { [key: string]: Json } = {}
  for await (const event of events) {
    if (event.kind === 'schema') schemas.push(event.columns)
    else if (event.kind === 'reject') {
      rejects.push(event.raw)
      reasons.push(event.reason)
    } else {
      const found = await rowsOf(event, schemas.at(-1))
      if (event.kind !== 'progress' && found.length !== event.rows)
        miscounted.push(`${event.rows} rows announced, ${found.length} found`)
      rows.push(...found)
      if (event.kind !== 'parquet') state = merge(state, event.state ?? {})
      if (event.cursor !== undefined)
        marks.push({ cursor: event.cursor, state, rows: rows.length, rejects: rejects.length })
    }
  }
  return { rows, rejects, reasons, schemas, marks, miscounted }
}

/** As the catalog does: null deletes. */
function merge(
  state: { readonly [key: string]: Json },
  change: { readonly [key: string]: Json },
): { [key: string]: Json } {
  return Object.fromEntries(
    Object.entries({ ...state, ...change }).filter(([, value]) => value !== null),
  )
}

async function rowsOf(
  event: Extract<SourceEvent, { kind: 'rows' | 'parquet' | 'progress' }>,
  columns: readonly SourceColumn[] | undefined,
): Promise<readonly Row[]> {
  if (event.kind === 'progress') return []
  if (event.kind === 'parquet') return parquetRows(event)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(event.bytes)
  if (event.format === 'ndjson')
    return text
      .slice(0, -1)
      .split('\n')
      .map((line) => JSON.parse(line) as Row)
  if (!columns) throw new Error('csv rows came before a schema')
  return parseCsv(text).map((fields) => {
    if (fields.length !== columns.length)
      throw new Error(`row of ${fields.length} fields: ${JSON.stringify(fields)}`)
    return Object.fromEntries(columns.map(({ name }, index) => [name, fields[index] ?? null]))
  })
}

async function parquetRows(
  event: Extract<SourceEvent, { kind: 'parquet' }>,
): Promise<readonly Row[]> {
  const file = await asyncBufferFromFile(event.path)
  const [rowStart, rowEnd] = [event.from, event.from + event.rows]
  const rows = await parquetReadObjects({ file, rowStart, rowEnd, compressors })
  await event.release()
  return rows.map(
    (row) =>
      JSON.parse(
        JSON.stringify(row, (_, value: unknown) =>
          typeof value === 'bigint' ? Number(value) : value,
        ),
      ) as Row,
  )
}

/** The port's csv dialect: comma, double quotes, line feed; an empty field is null unless quoted. */
export function parseCsv(text: string): readonly (readonly (string | null)[])[] {
  const rows: (string | null)[][] = []
  let row: (string | null)[] = []
  const field = /("(?:[^"]|"")*"|[^",\n\r]*)([,\n])/gy
  while (field.lastIndex < text.length) {
    const at = field.lastIndex
    const match = field.exec(text)
    if (!match) throw new Error(`not csv at ${at}: ${JSON.stringify(text.slice(at, at + 40))}`)
    const [, raw = '', stop] = match
    row.push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw === '' ? null : raw)
    if (stop === '\n') {
      rows.push(row)
      row = []
    }
  }
  return rows
}
