/**
 * One port for everything: gRPC over HTTP/2, plain HTTP/1.1, and the connections between members.
 * Without TLS the first bytes tell which of the three a connection speaks, with TLS its ALPN. A connection that does not say what it wants is
 * closed after a while, and there are never more than a set number.
 */
import type { Server as HttpServer } from 'node:http'
import { createServer as createPlainServer } from 'node:net'
import type { Server as PlainServer, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsOptions, TLSSocket } from 'node:tls'
import { ServerCredentials } from '@grpc/grpc-js'
import type { Server } from '@grpc/grpc-js'
import { HakiriError } from '../../lib/error.ts'
import type { Logger } from '../../lib/ports.ts'
import { createHttpServer } from '../../lib/system/http-server.ts'
import type { HttpHandler } from './http.ts'
import { PEER_ALPN, PEER_MAGIC } from './peer-wire.ts'
import type { TlsSource } from './tls.ts'

export type ListenLimits = {
  readonly connectionsMax: number
  /** How long a connection may take to finish its TLS handshake, and to say what it speaks. */
  readonly handshakeMs: number
  /** How long a connection of HTTP/1.1 may be silent. */
  readonly httpIdleMs: number
  /** How long streams may take to end when the port is closed. */
  readonly drainMs: number
}

export const DEFAULT_LISTEN_LIMITS: ListenLimits = {
  connectionsMax: 8_192,
  handshakeMs: 10_000,
  httpIdleMs: 30_000,
  drainMs: 2_000,
}

export type ListenParts = {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly grpc: Server
  readonly http: HttpHandler
  /** Takes connections of other members. */
  readonly peers?: (socket: Socket) => void
  readonly tls?: TlsSource
  /** Refuse everyone who has no certificate of the CA bundle. */
  readonly clientAuth?: boolean
  readonly logger: Logger
  readonly limits?: Partial<ListenLimits>
}

export type Listener = AsyncDisposable & {
  readonly port: number
  /** Connections that are open now. */
  connections(): number
  /** Takes no more connections, lets streams end for a moment, and closes. */
  close(): Promise<void>
}

/** The first bytes of every HTTP/2 connection. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
/** No request of HTTP/1.1 begins like this. */
const TELLING_BYTES = 4

type Route = (socket: Socket) => void
type Routes = { readonly h2: Route; readonly http: Route; readonly peers: Route }

/** Opens the port; throws a HakiriError when it cannot be had. */
export async function openListener(parts: ListenParts): Promise<Listener> {
  const limits = { ...DEFAULT_LISTEN_LIMITS, ...parts.limits }
  const http = createHttpServer({ requestTimeout: limits.httpIdleMs }, parts.http)
  http.timeout = limits.httpIdleMs
  http.on('clientError', (_error, socket) => socket.destroy())
  const injector = parts.grpc.createConnectionInjector(ServerCredentials.createInsecure())
  const routes: Routes = {
    h2: (socket) => injector.injectConnection(socket),
    http: (socket) => void http.emit('connection', socket),
    peers: parts.peers ?? ((socket) => void socket.destroy()),
  }
  const server = parts.tls
    ? secureServer(parts, parts.tls, limits, routes)
    : createPlainServer({ noDelay: true }, (socket) => sniff(socket, limits, routes))
  const sockets = track(server, parts.logger, limits)
  const port = await listen(server, parts)
  const close = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => server.close(() => resolve()))
    injector.drain(limits.drainMs)
    closeHttp(http)
    const timer = AbortSignal.timeout(limits.drainMs * 2)
    timer.addEventListener('abort', () => sockets.forEach((socket) => socket.destroy()))
    await ended
    injector.destroy()
  }
  return { port, connections: () => sockets.size, close, [Symbol.asyncDispose]: close }
}

function closeHttp(http: HttpServer): void {
  http.closeIdleConnections()
  http.close()
}

/** Knows every connection, keeps their number down, and lets none of them throw. */
function track(server: PlainServer, logger: Logger, limits: ListenLimits): Set<Socket> {
  const sockets = new Set<Socket>()
  let isFull = false
  server.maxConnections = limits.connectionsMax
  server.on('connection', (socket: Socket) => {
    isFull = false
    sockets.add(socket)
    // Probes and balancers come and go; a reset is no event. Dead ones are found by the system.
    socket.on('error', () => undefined)
    socket.setKeepAlive(true, 30_000)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('drop', () => {
    if (!isFull) logger.log('warn', 'no more connections are taken', { max: limits.connectionsMax })
    isFull = true
  })
  return sockets
}

/** Looks at the first bytes, gives them back, and hands the connection on. */
function sniff(socket: Socket, { handshakeMs }: ListenLimits, routes: Routes): void {
  const give = (route: (socket: Socket) => void): void => {
    socket.off('end', drop)
    socket.setTimeout(0)
    socket.off('timeout', drop)
    route(socket)
  }
  const drop = (): void => void socket.destroy()
  // Kept here until they tell something: bytes given back at once would be offered again at once.
  let seen: Buffer = Buffer.alloc(0)
  const look = (): void => {
    const bytes = socket.read() as Buffer | null
    if (!bytes) return
    seen = Buffer.concat([seen, bytes])
    const isPreface = beginsLike(seen, PREFACE)
    const isPeer = beginsLike(seen, PEER_MAGIC)
    if ((isPreface || isPeer) && seen.length < TELLING_BYTES) return
    socket.off('readable', look)
    socket.unshift(seen)
    give(isPreface ? routes.h2 : isPeer ? routes.peers : routes.http)
  }
  socket.setTimeout(handshakeMs)
  socket.on('timeout', drop)
  socket.on('end', drop)
  socket.on('readable', look)
}

function beginsLike(seen: Buffer, whole: Buffer): boolean {
  const known = Math.min(seen.length, whole.length)
  return seen.subarray(0, known).equals(whole.subarray(0, known))
}

function secureServer(
  parts: ListenParts,
  tls: TlsSource,
  limits: ListenLimits,
  routes: Routes,
): PlainServer {
  const { clientAuth = false, logger } = parts
  const options = (): TlsOptions => {
    const { cert, key, ca } = tls.current()
    return { cert, key, minVersion: 'TLSv1.2', ...(ca ? { ca } : {}) }
  }
  const server = createTlsServer({
    ...options(),
    ALPNProtocols: ['h2', 'http/1.1', PEER_ALPN],
    handshakeTimeout: limits.handshakeMs,
    noDelay: true,
    requestCert: clientAuth,
    rejectUnauthorized: clientAuth,
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => undefined)
    if (socket.alpnProtocol === 'h2') routes.h2(socket)
    else if (socket.alpnProtocol === PEER_ALPN) routes.peers(socket)
    else routes.http(socket)
  })
  server.on('tlsClientError', (error: Error & { readonly code?: string }, socket) => {
    socket.destroy()
    if (error.code !== 'ECONNRESET')
      logger.log('debug', 'a TLS handshake failed', { reason: error.message })
  })
  const change = tls.onChange(() => server.setSecureContext(options()))
  server.once('close', () => change[Symbol.dispose]())
  return server
}

function listen(server: PlainServer, { host, port }: ListenParts): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: Error & { readonly code?: string }) => {
      reject(
        new HakiriError('LISTEN_FAILED', `cannot listen on ${host}:${port}: ${error.message}`, {
          cause: error,
        }),
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}
