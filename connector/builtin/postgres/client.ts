/**
 * The driver, as far as it is used: connect, ask, then hand over the bare stream. The only file that
 * imports it. Invariant: `close` leaves no socket, and `with a cancel` no work on the server either.
 */
import { once, type EventEmitter } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import pg from 'pg'
import { HakiriError } from '../../../lib/error.ts'
import type { Clock } from '../../../lib/ports.ts'
import type { PostgresOptions } from './config.ts'

export type Client = {
  /** "host:port/database". */
  readonly server: string
  readonly user: string
  connect(): Promise<void>
  /** A setting that the server reported when it was connected to, e.g. "server_version". */
  reported(name: string): string | undefined
  query<T>(sql: string, values: readonly unknown[]): Promise<readonly T[]>
  /** The connection's stream, which the driver no longer reads. No `query` after it. */
  takeStream(): Duplex
  /** Cuts the connection; whatever waits on it fails. */
  destroy(): void
  close(how: 'politely' | 'at once' | 'with a cancel'): Promise<void>
}

/** What the driver has and its types do not show. */
type Internals = {
  readonly connection: EventEmitter & { readonly stream: Duplex }
  readonly processID: number | null
  readonly secretKey: number | null
}

type ParameterStatus = { readonly parameterName: string; readonly parameterValue: string }

const GOODBYE = Buffer.from([0x58, 0, 0, 0, 4])
const CANCEL_REQUEST = 80_877_102
const CLOSE_MS = 2_000

/** Prepares a connection; throws CONFIG_INVALID for a url that cannot be read. */
export function createClient(url: string, options: PostgresOptions, clock: Clock): Client {
  const driver = newDriver(url, options)
  const internals = driver as unknown as Internals
  const reported = new Map<string, string>()
  internals.connection.on('parameterStatus', (status: ParameterStatus) =>
    reported.set(status.parameterName, status.parameterValue),
  )
  // Every failure also rejects the query or the COPY that it interrupts.
  driver.on('error', () => undefined)
  let taken = false
  return {
    server: `${driver.host}:${driver.port}/${driver.database ?? ''}`,
    user: driver.user ?? '',
    async connect() {
      await driver.connect()
    },
    reported: (name) => reported.get(name),
    async query<T>(sql: string, values: readonly unknown[]) {
      const result = await driver.query(sql, [...values])
      return result.rows as readonly T[]
    },
    takeStream() {
      const { stream } = internals.connection
      if (!taken) stream.removeAllListeners('data')
      taken = true
      return stream
    },
    destroy() {
      internals.connection.stream.destroy()
    },
    async close(how) {
      const { stream } = internals.connection
      if (how === 'with a cancel') await cancel(driver, internals)
      await closeStream(stream, how !== 'politely' || !stream.writable, clock)
    },
  }
}

/** True when the server itself said no, as opposed to a connection that failed. */
export function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError
}

function newDriver(url: string, options: PostgresOptions): pg.Client {
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
async function cancel(driver: pg.Client, internals: Internals): Promise<void> {
  const { processID, secretKey } = internals
  if (processID === null || secretKey === null) return
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(CANCEL_REQUEST, 4)
  request.writeInt32BE(processID, 8)
  request.writeInt32BE(secretKey, 12)
  const socket = driver.host.startsWith('/')
    ? connect(`${driver.host}/.s.PGSQL.${driver.port}`)
    : connect(driver.port, driver.host)
  const closed = once(socket, 'close')
  socket.setTimeout(CLOSE_MS, () => socket.destroy())
  socket.on('error', () => undefined)
  socket.end(request)
  await closed.catch(() => undefined)
}
