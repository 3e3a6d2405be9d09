/**
 * A TCP proxy that can go silent: connections stay open and are still accepted, but nothing passes
 * any more, as when a machine vanishes without a word.
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export type HalfOpenProxy = AsyncDisposable & {
  readonly port: number
  /** Nothing passes from now on, in connections old and new. */
  silence(): void
  /** New connections pass again; those that fell silent stay so. */
  heal(): void
  /** Connections that were accepted so far. */
  accepted(): number
}

export async function startHalfOpenProxy(target: number): Promise<HalfOpenProxy> {
  const sockets = new Set<Socket>()
  let isSilent = false
  let accepted = 0
  const keep = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  }
  const server = createServer((near) => {
    accepted++
    keep(near)
    if (isSilent) return
    const far = connect(target, '127.0.0.1')
    keep(far)
    near.pipe(far).pipe(near)
    near.once('close', () => far.destroy())
    far.once('close', () => near.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return {
    port: (server.address() as AddressInfo).port,
    silence: () => {
      isSilent = true
      for (const socket of sockets) {
        socket.unpipe()
        socket.pause()
      }
    },
    heal: () => {
      isSilent = false
    },
    accepted: () => accepted,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
