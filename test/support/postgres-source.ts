/**
 * What tests of the postgres connector share: a host for it, a reader that collects events, a CSV
 * parser of its own, and plain access to the server beside the connector.
 */
import pg from 'pg'
import type {
  Connector,
  ConnectorContext,
  ReadMode,
  SourceEvent,
  SourceShard,
} from '../../connector/connector.ts'
import type { SourceColumn } from '../../lib/column.ts'
import type { Json } from '../../lib/json.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'

export type TestContext = ConnectorContext & { readonly logs: readonly string[] }

/** A host with real clock and dice that remembers what was logged. */
export function testContext(
  given: Partial<Pick<ConnectorContext, 'signal' | 'chunkBytesMax'>> = {},
): TestContext {
  const logs: string[] = []
  return {
    resolve: (reference) => Promise.resolve(reference),
    clock: systemClock,
    random: systemRandom,
    logger: { log: (level, message) => void logs.push(`${level} ${message}`) },
    signal: new AbortController().signal,
    baseFolder: '/',
    chunkBytesMax: 2 ** 20,
    openBucket: () => Promise.reject(new Error('a database has no bucket')),
    count: () => undefined,
    logs,
    ...given,
  }
}

/** One row per line of a table, as text; null is null. */
export type TextRow = readonly (string | null)[]

export type ReadResult = {
  readonly columns: readonly SourceColumn[]
  readonly rows: readonly TextRow[]
  /** Every cursor, with the number of rows read before it. */
  readonly cursors: readonly { readonly cursor: Json; readonly rows: number }[]
  readonly events: readonly SourceEvent[]
}

export type ReadRequest = {
  readonly mode?: ReadMode
  readonly cursor?: Json
  readonly context?: ConnectorContext
}

/** Reads a shard to its end. */
export async function readShardFully(
  connector: Connector,
  shard: SourceShard,
  request: ReadRequest = {},
): Promise<ReadResult> {
  const events: SourceEvent[] = []
  const rows: TextRow[] = []
  const cursors: { cursor: Json; rows: number }[] = []
  let columns: readonly SourceColumn[] = []
  for await (const event of openShard(connector, shard, request)) {
    events.push(event)
    if (event.kind === 'schema') columns = event.columns
    if (event.kind === 'rows') {
      const parsed = parseCsv(Buffer.from(event.bytes).toString('utf8'))
      if (parsed.length !== event.rows) {
        throw new Error(`an event of ${event.rows} rows holds ${parsed.length}`)
      }
      rows.push(...parsed)
    }
    if ((event.kind === 'rows' || event.kind === 'progress') && event.cursor !== undefined) {
      cursors.push({ cursor: event.cursor, rows: rows.length })
    }
  }
  return { columns, rows, cursors, events }
}

export function openShard(
  connector: Connector,
  shard: SourceShard,
  request: ReadRequest = {},
): AsyncIterable<SourceEvent> {
  return connector.open(request.context ?? testContext(), {
    shard: { id: shard.id, table: shard.table, spec: shard.spec },
    mode: request.mode ?? { kind: 'full' },
    cursor: request.cursor ?? null,
    state: {},
  })
}

/** RFC 4180 with Postgres' null: an empty field without quotes. */
export function parseCsv(text: string): readonly TextRow[] {
  const rows: (string | null)[][] = []
  let row: (string | null)[] = []
  for (let at = 0; at < text.length;) {
    const quoted = text[at] === '"'
    const end = quoted ? endOfQuoted(text, at) : endOfPlain(text, at)
    const field = text.slice(at, end)
    row.push(quoted ? field.slice(1, -1).replaceAll('""', '"') : field || null)
    if (text[end] === '\n') {
      rows.push(row)
      row = []
    } else if (text[end] !== ',') {
      throw new Error(`not CSV at ${end}: ${text.slice(end, end + 200)}`)
    }
    at = end + 1
  }
  if (row.length > 0) throw new Error('the last row has no end')
  return rows
}

function endOfPlain(text: string, start: number): number {
  let at = start
  while (at < text.length && text[at] !== ',' && text[at] !== '\n') at++
  return at
}

/** The index behind the closing quote of the field that opens at `start`. */
function endOfQuoted(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] !== '"') continue
    if (text[at + 1] !== '"') return at + 1
    at++
  }
  throw new Error('a quote is not closed')
}

/** A plain connection for preparing and looking, closed by `await using`. */
export async function connectTo(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url, application_name: 'beside' })
  client.on('error', () => undefined)
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** Resolves when a query's first row says so; rejects after five seconds of questions. */
export async function waitFor(client: pg.Client, sql: string): Promise<void> {
  const deadline = systemClock.monotonic() + 5_000
  for (;;) {
    // Inside a transaction the server would go on telling what it saw first.
    await client.query('SELECT pg_stat_clear_snapshot()')
    const { rows } = await client.query<{ readonly holds: boolean }>(`SELECT (${sql}) AS holds`)
    if (rows[0]?.holds) return
    if (systemClock.monotonic() > deadline) throw new Error(`never became true: ${sql}`)
  }
}

/** SQL that holds while the connector has no session in this database. */
export const NO_SESSIONS = `NOT EXISTS (
  SELECT FROM pg_stat_activity WHERE application_name = 'hakiri' AND datname = current_database())`
