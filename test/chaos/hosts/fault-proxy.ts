/**
 * The TCP proxy between the hosts of a proxy lab. A caller asks at the gate for a connection to a host;
 * the proxy dials that host from the caller's own address, as the links between the two allow, and says
 * at which port of loopback the caller finds it. So it knows both ends of every connection.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { DialAnswer, DialRequest } from './dial-through.ts'
import { createFaultPipe, type FaultPipe } from './fault-pipe.ts'
import { type LinkState, SOUND } from './links.ts'

export type FaultProxy = AsyncDisposable & {
  readonly gatePort: number
  /** The links from now on, by the names of their ends; a link that is missing is sound. */
  setStates(states: ReadonlyMap<string, ReadonlyMap<string, LinkState>>): void
}

/** A host by its name and by its address. */
export type Directory = {
  addressOf(name: string): string
  nameOf(address: string): string
}

const FETCH_MS = 10_000
const LOOPBACK = '127.0.0.1'

export async function startFaultProxy(
  directory: Directory,
  random: () => number,
): Promise<FaultProxy> {
  let states: ReadonlyMap<string, ReadonlyMap<string, LinkState>> = new Map()
  const pipes = new Set<FaultPipe>()
  const sockets = new Set<Socket>()
  const changed = new Set<() => void>()
  const stateOf = (from: string, to: string): LinkState => states.get(from)?.get(to) ?? SOUND
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    return socket.once('close', () => sockets.delete(socket))
  }
  /** What a handshake needs: both directions, and their time. */
  const reach = async (from: string, to: string, signal: AbortSignal): Promise<void> => {
    while (stateOf(from, to).isCut || stateOf(to, from).isCut) await nextChange(changed, signal)
    await pass(stateOf(from, to).delayMs + stateOf(to, from).delayMs, signal)
  }
  const join = (near: Socket, far: Socket, from: string, to: string): void => {
    const both = [
      createFaultPipe(near, far, () => stateOf(from, to), random),
      createFaultPipe(far, near, () => stateOf(to, from), random),
    ]
    for (const pipe of both) pipes.add(pipe)
    let open = 2
    const end = (): void => {
      if (--open > 0) return
      for (const pipe of both) {
        pipe.close()
        pipes.delete(pipe)
      }
    }
    near.once('close', end)
    far.once('close', end)
  }
  const dial = async (line: string, signal: AbortSignal) => {
    const { from, address, port } = JSON.parse(line) as DialRequest
    const to = directory.nameOf(address)
    await reach(from, to, signal)
    const local = { localAddress: directory.addressOf(from) }
    const far = keep(connect({ ...local, host: address, port, allowHalfOpen: true }))
    await connected(far)
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    const unfetched = setTimeout(() => far.destroy(), FETCH_MS)
    far.once('close', () => server.close())
    server.once('connection', (near) => {
      clearTimeout(unfetched)
      server.close()
      join(keep(near), far, from, to)
      near.resume()
    })
    return listen(server)
  }
  const gate = createServer((asking) => {
    const given = new AbortController()
    keep(asking).once('close', () => given.abort())
    createInterface(asking)
      .once('line', (line) => {
        dial(line, given.signal)
          .then((port): DialAnswer => ({ kind: 'through', port }), failed)
          .then((answer) => asking.end(`${JSON.stringify(answer)}\n`))
          .catch(() => asking.destroy())
      })
      // Whoever asks may be killed in the middle of it.
      .on('error', () => undefined)
  })
  const gatePort = await listen(gate)
  return {
    gatePort,
    setStates(next) {
      states = next
      for (const tell of changed) tell()
      for (const { look } of pipes) look()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => gate.close(resolve))
    },
  }
}

function failed(error: NodeJS.ErrnoException): DialAnswer {
  return { kind: 'failed', code: error.code ?? 'ECONNREFUSED', message: error.message }
}

function nextChange(changed: Set<() => void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      changed.delete(tell)
      signal.removeEventListener('abort', fail)
    }
    const tell = (): void => {
      stop()
      resolve()
    }
    const fail = (): void => {
      stop()
      reject(signal.reason)
    }
    signal.throwIfAborted()
    changed.add(tell)
    signal.addEventListener('abort', fail)
  })
}

function pass(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  const fail = (): void => {
    clearTimeout(timer)
    reject(signal.reason)
  }
  signal.addEventListener('abort', fail, { once: true })
  return promise.finally(() => signal.removeEventListener('abort', fail))
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, LOOPBACK, () => resolve((server.address() as AddressInfo).port))
  })
}
