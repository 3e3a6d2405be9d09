/** A TCP proxy for tests that breaks connections the way networks do: stalls, resets, refusals. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from './free-ports.ts'

export type TcpProxy = AsyncDisposable & {
  /** host:port to connect to. */
  readonly endpoint: string
  /**
   * Bytes of one direction, or of both, stop and are kept; connections stay open and new ones are
   * accepted: the other end looks alive and says nothing.
   */
  stall(direction: 'to-server' | 'to-client' | 'both'): void
  /** Stalls the connections that stand now, for good; new ones pass. */
  freeze(): void
  /** What was kept flows on, but for what is frozen. */
  flow(): void
  /** Ends every connection with a reset. */
  reset(): void
  /** No new connections until `accept`; those that stand go on. */
  refuse(): Promise<void>
  accept(): Promise<void>
  /** Connections that stand now. */
  connections(): number
}

type Pair = { readonly client: Socket; readonly server: Socket; isFrozen: boolean }
type Stalled = { toServer: boolean; toClient: boolean }

/** Listens on a free loopback port and passes everything on to `target` (host:port). */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const [host, port] = splitTarget(target)
  const pairs = new Set<Pair>()
  const stalled: Stalled = { toServer: false, toClient: false }
  const server = createServer((client) => {
    const pair = { client, server: connect(port, host), isFrozen: false }
    pairs.add(pair)
    join(pair, stalled, () => pairs.delete(pair))
  })
  // It is listened on again after a refusal.
  const proxyPort = await freePort()
  await listen(server, proxyPort)
  const reset = (): void => {
    for (const { client, server: up } of pairs) {
      client.resetAndDestroy()
      up.resetAndDestroy()
    }
  }
  return {
    endpoint: `127.0.0.1:${proxyPort}`,
    stall(direction) {
      if (direction !== 'to-client') stalled.toServer = true
      if (direction !== 'to-server') stalled.toClient = true
      for (const pair of pairs) settle(pair, stalled)
    },
    freeze() {
      for (const pair of pairs) {
        pair.isFrozen = true
        settle(pair, stalled)
      }
    },
    flow() {
      stalled.toServer = false
      stalled.toClient = false
      for (const pair of pairs) settle(pair, stalled)
    },
    reset,
    refuse: () => stopListening(server),
    accept: () => listen(server, proxyPort),
    connections: () => pairs.size,
    async [Symbol.asyncDispose]() {
      reset()
      if (server.listening) await stopListening(server)
    },
  }
}

function splitTarget(target: string): [string, number] {
  const at = target.lastIndexOf(':')
  return [target.slice(0, at), Number(target.slice(at + 1))]
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
}

/** `close` waits for connections to end, and those shall stand: only the listening is waited for. */
function stopListening(server: Server): Promise<void> {
  server.close()
  return Promise.resolve()
}

function join(pair: Pair, stalled: Stalled, onEnd: () => void): void {
  const { client, server } = pair
  client.on('data', (bytes) => {
    if (!server.write(bytes)) client.pause()
  })
  server.on('data', (bytes) => {
    if (!client.write(bytes)) server.pause()
  })
  client.on('drain', () => settle(pair, stalled))
  server.on('drain', () => settle(pair, stalled))
  const end = (): void => {
    onEnd()
    client.destroy()
    server.destroy()
  }
  for (const socket of [client, server]) {
    socket.setNoDelay(true)
    socket.on('error', end)
    socket.on('close', end)
  }
  settle(pair, stalled)
}

/** A direction that is stalled is not read; the sender's bytes pile up in the kernel. */
function settle({ client, server, isFrozen }: Pair, { toServer, toClient }: Stalled): void {
  if (toServer || isFrozen) client.pause()
  else client.resume()
  if (toClient || isFrozen) server.pause()
  else server.resume()
}
