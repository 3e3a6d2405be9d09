/**
 * One connection to a server, used for one piece of work: questions first, then COPY on the bare
 * socket. Invariant: after `close`, or when the signal has fired, nothing of it runs on the server.
 */
import type { ConnectorContext } from '../../connector.ts'
import { createClient, isRefusal, type Client } from './client.ts'
import type { PostgresConfig, PostgresOptions } from './config.ts'
import type { CopyChunk, CopyLimits } from './copy-parser.ts'
import { copyOut } from './copy-stream.ts'
import { toSourceError, type TableName } from './errors.ts'

export type Session = {
  /** "host:port/database". */
  readonly server: string
  readonly user: string
  /** Major version. */
  readonly version: number
  /** The database's encoding, e.g. "UTF8". */
  readonly encoding: string
  rows<T>(sql: string, values?: readonly unknown[]): Promise<readonly T[]>
  /** Opens the transaction that everything after it reads in; see SETTINGS. */
  begin(): Promise<void>
  /** Rows of a COPY statement. The first call ends the use of `rows`. */
  copy(sql: string, limits: CopyLimits): AsyncGenerator<CopyChunk, void, undefined>
  close(): Promise<void>
}

/** One form of text for every value, one order of rows, no time limit of the server's. */
const SETTINGS: Readonly<Record<string, string>> = {
  datestyle: 'ISO, YMD',
  timezone: 'UTC',
  intervalstyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  lc_monetary: 'C',
  xmloption: 'content',
  standard_conforming_strings: 'on',
  synchronize_seqscans: 'off',
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '1h',
  search_path: 'pg_catalog',
  jit: 'off',
}

/** Connects; throws SOURCE_UNREACHABLE, SOURCE_AUTH or CONFIG_INVALID. */
export async function openSession(
  context: ConnectorContext,
  config: PostgresConfig,
  options: PostgresOptions,
  table?: TableName,
): Promise<Session> {
  const { signal } = context
  const url = await context.resolve(config.url)
  signal.throwIfAborted()
  const client = createClient(url, options, context.clock)
  const onAbort = (): void => client.destroy()
  signal.addEventListener('abort', onAbort, { once: true })
  const place = { server: client.server, table }
  const explain = (error: unknown): unknown =>
    signal.aborted ? signal.reason : toSourceError(error, place)
  try {
    await client.connect()
  } catch (error) {
    signal.removeEventListener('abort', onAbort)
    await client.close('at once')
    throw explain(error)
  }
  return overClient(client, options, signal, explain, () =>
    signal.removeEventListener('abort', onAbort),
  )
}

function overClient(
  client: Client,
  options: PostgresOptions,
  signal: AbortSignal,
  explain: (error: unknown) => unknown,
  release: () => void,
): Session {
  const version = Number.parseInt(client.reported('server_version') ?? '0', 10)
  /** The server works on something that nobody has seen the end of. */
  let busy = false
  const watched = async <T>(work: Promise<T>): Promise<T> => {
    busy = true
    try {
      const result = await work
      busy = false
      return result
    } catch (error) {
      busy = signal.aborted
      throw explain(error)
    }
  }
  return {
    server: client.server,
    user: client.user,
    version,
    encoding: client.reported('server_encoding') ?? 'UTF8',
    rows: (sql, values = []) => watched(client.query(sql, values)),
    async begin() {
      // Ends a long sort whose reader is gone without a word; not every platform has it.
      const interval = client.query("SET client_connection_check_interval = '10s'", [])
      await watched(interval.catch((error: unknown) => ignoreRefusal(error)))
      await watched(client.query(beginSql(version, options), []))
    },
    async *copy(sql, limits) {
      busy = true
      try {
        for await (const chunk of copyOut(client.takeStream(), sql, limits)) {
          signal.throwIfAborted()
          yield chunk
        }
        busy = false
      } catch (error) {
        throw explain(error)
      }
    },
    async close() {
      release()
      await client.close(busy ? 'with a cancel' : 'politely')
    },
  }
}

function beginSql(version: number, options: PostgresOptions): string {
  const settings = {
    ...SETTINGS,
    lock_timeout: String(options.lockTimeoutMs),
    ...(version >= 17 ? { transaction_timeout: '0' } : {}),
  }
  const lines = Object.entries(settings).map(
    ([name, value]) => `SET LOCAL ${name} = ${literal(name, value)}`,
  )
  return ['BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', ...lines].join('; ')
}

function ignoreRefusal(error: unknown): void {
  if (!isRefusal(error)) throw error
}

/** Lists are bare, everything else is a quoted text. */
function literal(name: string, value: string): string {
  return name === 'datestyle' || name === 'search_path' ? value : `'${value}'`
}
