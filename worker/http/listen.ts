/**
 * Opens the port of the API. Connections are counted, and one that is slow with its request, or says
 * nothing, is closed: nobody can hold the port up with open connections.
 */
import { createServer, STATUS_CODES, type Server } from 'node:http'
import { createServer as createTlsServer, Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { AddressInfo, Socket } from 'node:net'
import { assert } from '../../lib/assert.ts'
import { HakiriError } from '../../lib/error.ts'
import { isLoopbackHost } from './access.ts'
import { createApi, type ApiLimits } from './api.ts'
import type { ApiPorts } from './ports.ts'

export type ListenLimits = ApiLimits & {
  readonly connectionsMax: number
  readonly headerBytesMax: number
  /** How long the headers of a request may take, from its first byte. */
  readonly headersMs: number
  /** How long a whole request may take. */
  readonly requestMs: number
  /** How long a connection may be silent, between requests or in the middle of an answer. */
  readonly idleMs: number
  /** How long answers may take to end when the port is closed. */
  readonly drainMs: number
}

const LISTEN_LIMITS: Omit<ListenLimits, keyof ApiLimits> = {
  connectionsMax: 512,
  headerBytesMax: 16_384,
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 60_000,
  drainMs: 2_000,
}

export type ApiListenOptions = {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly version: string
  readonly tls?: Tls
  readonly limits?: Partial<ListenLimits>
}

export type Tls = { readonly cert: string | Buffer; readonly key: string | Buffer }

export type ApiListener = AsyncDisposable & {
  readonly port: number
  /** New connections use these; those that stand stay. Only for a listener that was opened with TLS. */
  renewTls(tls: Tls): void
  /** Connections that are open now. */
  connections(): number
}

/** Rejects with LISTEN_FAILED. Whether it may be opened there is for `checkListen` to say, before. */
export async function listenApi(ports: ApiPorts, options: ApiListenOptions): Promise<ApiListener> {
  const limits = { ...LISTEN_LIMITS, ...options.limits }
  const closing = new AbortController()
  const api = createApi(ports, {
    isLoopback: isLoopbackHost(options.host),
    version: options.version,
    limits,
    signal: closing.signal,
  })
  const settings = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
    noDelay: true,
  }
  const server = options.tls
    ? createTlsServer({ ...settings, ...options.tls, minVersion: 'TLSv1.2' }, api.handle)
    : createServer(settings, api.handle)
  server.timeout = limits.idleMs
  server.on('clientError', refuse)
  const sockets = guard(server, ports, limits.connectionsMax)
  const port = await open(server, options)
  return {
    port,
    renewTls: (tls) => {
      assert(server instanceof TlsServer, 'certificates are renewed where there are some')
      server.setSecureContext(tls)
    },
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      closing.abort()
      await close(server, ports, limits.drainMs)
    },
  }
}

const REFUSALS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** What is no HTTP gets a status and the door. */
function refuse(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = REFUSALS[error.code ?? ''] ?? 400
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
  )
}

function guard(server: Server, { logger }: ApiPorts, connectionsMax: number): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  let isFull = false
  server.maxConnections = connectionsMax
  server.on('connection', (socket: Socket) => {
    isFull = false
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // Probes and balancers come and go; a reset is no event.
    socket.on('error', () => undefined)
  })
  server.on('drop', () => {
    if (!isFull)
      logger.log('warn', 'the HTTP API takes no more connections', { max: connectionsMax })
    isFull = true
  })
  return sockets
}

function open(server: Server, { host, port }: ApiListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const message = `cannot listen on ${host}:${port}: ${error.message}`
      reject(new HakiriError('LISTEN_FAILED', message, { cause: error }))
    })
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })
}

/** Lets answers that are under way end for a moment. */
async function close(server: Server, { clock }: ApiPorts, drainMs: number): Promise<void> {
  const done = new AbortController()
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const late = clock.sleep(drainMs, done.signal).then(
    () => server.closeAllConnections(),
    () => undefined,
  )
  await closed
  done.abort()
  await late
}
