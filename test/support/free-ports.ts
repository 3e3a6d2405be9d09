/** Ports for programs that cannot choose one themselves. */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Below what kernels hand out to those that do not care (Linux from 32768, others from 49152): there, any
 * connection that is opened may sit on the port before its program does, or while that is down.
 */
const FIRST = 10_000
const LAST = 32_767

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, LAST + 1)
    if (await isFree(port)) return port
  }
}

/** So many different ports of loopback that were free a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort())
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    )
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
