/**
 * One connection to a server, used for one piece of work: questions first, then COPY on the bare
 * socket. Invariant: after `close`, or when the signal has fired, nothing of it runs on the server.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { EventEmitter } from 'node:events'
import pg from 'pg'
import { HakiriError } from '../../../lib/error.ts'
import type { Clock } from '../../../lib/ports.ts'
import type { ConnectorContext } from '../../connector.ts'
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

/** What the driver has and its types do not show. */
type Internals = {
  readonly connection: EventEmitter & { readonly stream: Duplex }
  readonly processID: number | null
  readonly secretKey: number | null
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

const GOODBYE = Buffer.from([0x58, 0, 0, 0, 4])
const CLOSE_MS = 2_000

/** Connects; throws SOURCE_UNREACHABLE, SOURCE_AUTH or CONFIG_INVALID. */
export async function openSession(
  context: ConnectorContext,
  config: PostgresConfig,
  options: PostgresOptions,
  table?: TableName,
): Promise<Session> {
  context.signal.throwIfAborted()
  const client = createClient(await context.resolve(config.url), options)
  const server = `${client.host}:${client.port}/${client.database ?? ''}`
  const internals = client as unknown as Internals
  const reported = new Map<string, string>()
  internals.connection.on(
    'parameterStatus',
    (message: { readonly parameterName: string; readonly parameterValue: string }) =>
      reported.set(message.parameterName, message.parameterValue),
  )
  // Every failure also rejects the query or the COPY that it interrupts.
  client.on('error', () => undefined)
  const onAbort = (): void => void internals.connection.stream.destroy()
  context.signal.addEventListener('abort', onAbort, { once: true })
  const explain = (error: unknown): unknown =>
    context.signal.aborted ? context.signal.reason : toSourceError(error, { server, table })
  let busy = false
  let taken = false

  const close = async (): Promise<void> => {
    context.signal.removeEventListener('abort', onAbort)
    const { stream } = internals.connection
    if (busy) await cancel(client, internals)
    await closeStream(stream, busy || !stream.writable, context.clock)
  }
  const copy: Session['copy'] = async function* (sql, limits) {
    const { stream } = internals.connection
    if (!taken) stream.removeAllListeners('data')
    taken = true
    busy = true
    try {
      yield* copyOut(stream, sql, limits)
      busy = false
    } catch (error) {
      throw explain(error)
    }
  }
  const rows: Session['rows'] = async <T>(sql: string, values: readonly unknown[] = []) => {
    busy = true
    try {
      const result = await client.query(sql, [...values])
      busy = false
      return result.rows as readonly T[]
    } catch (error) {
      busy = context.signal.aborted
      throw explain(error)
    }
  }
  const begin = async (): Promise<void> => {
    try {
      // Ends a long sort whose reader is gone without a word; not every platform has it.
      await client.query("SET client_connection_check_interval = '10s'").catch(ignoreRefusal)
      await client.query(beginSql(majorOf(reported), options))
    } catch (error) {
      throw explain(error)
    }
  }
  try {
    await client.connect()
    return {
      server,
      user: client.user ?? '',
      version: majorOf(reported),
      encoding: reported.get('server_encoding') ?? 'UTF8',
      rows,
      begin,
      copy,
      close,
    }
  } catch (error) {
    await close()
    throw explain(error)
  }
}

function createClient(url: string, options: PostgresOptions): pg.Client {
  const problem = (): HakiriError =>
    new HakiriError('CONFIG_INVALID', 'the url of a postgres source cannot be read', {
      suggestion: 'Write it as postgres://user:password@host:5432/database.',
      place: { key: 'source.url' },
    })
  if (!/^postgres(ql)?:\/\//i.test(url)) throw problem()
  try {
    return new pg.Client({
      connectionString: url,
      application_name: 'hakiri',
      connectionTimeoutMillis: options.connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 30_000,
    })
  } catch (error) {
    // The parser's own message may hold the url, and with it the password.
    throw error instanceof Error && 'code' in error && error.code === 'ENOENT'
      ? new HakiriError('CONFIG_INVALID', `the url of a postgres source: ${error.message}`)
      : problem()
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
  if (!(error instanceof pg.DatabaseError)) throw error
}

/** Lists are bare, everything else is a quoted text. */
function literal(name: string, value: string): string {
  return name === 'datestyle' || name === 'search_path' ? value : `'${value}'`
}

function majorOf(reported: ReadonlyMap<string, string>): number {
  return Number.parseInt(reported.get('server_version') ?? '0', 10)
}

/** Ends the stream politely, or at once; waits until it is closed. */
async function closeStream(stream: Duplex, abruptly: boolean, clock: Clock): Promise<void> {
  if (stream.closed) return
  const closed = once(stream, 'close').catch(() => undefined)
  if (abruptly || stream.destroyed) {
    stream.destroy()
  } else {
    const inTime = new AbortController()
    const late = clock.sleep(CLOSE_MS, inTime.signal).then(
      () => stream.destroy(),
      () => undefined,
    )
    stream.end(GOODBYE)
    stream.resume()
    await closed
    inTime.abort()
    await late
  }
  await closed
}

/** Asks the server to stop what the session runs; best effort, since the socket is cut as well. */
async function cancel(client: pg.Client, internals: Internals): Promise<void> {
  const { processID, secretKey } = internals
  if (processID === null || secretKey === null) return
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(80_877_102, 4)
  request.writeInt32BE(processID, 8)
  request.writeInt32BE(secretKey, 12)
  const socket = client.host.startsWith('/')
    ? connect(`${client.host}/.s.PGSQL.${client.port}`)
    : connect(client.port, client.host)
  const closed = once(socket, 'close')
  socket.setTimeout(CLOSE_MS, () => socket.destroy())
  socket.on('error', () => undefined)
  socket.end(request)
  await closed.catch(() => undefined)
}
