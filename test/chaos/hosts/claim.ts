/**
 * A number that belongs to one live run on this machine: everything a lab makes that outlives a process
 * (namespaces, mounts, addresses) carries it. The kernel holds the claim as the name of a socket and gives
 * it back when the process ends, however it ends; so whoever claims a number owns what is named by it, and
 * may remove what a dead run has left.
 */
import { createServer, type Server } from 'node:net'

export const CLAIMS_MAX = 200

export type Claim = AsyncDisposable & { readonly number: number }

/** The claim on this number; undefined while a live run has it. */
export function tryClaim(number: number): Promise<Claim | undefined> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    // An abstract name (Linux); elsewhere the port of loopback does the same.
    if (process.platform === 'linux')
      server.listen(`\0hakiri-chaos-${number}`, () => resolve(claimOf(number, server)))
    else server.listen(27_700 + number, '127.0.0.1', () => resolve(claimOf(number, server)))
  })
}

/** The claim on the lowest number that is free. */
export async function claimNumber(): Promise<Claim> {
  for (let number = 0; number < CLAIMS_MAX; number++) {
    const claim = await tryClaim(number)
    if (claim) return claim
  }
  throw new Error(`all ${CLAIMS_MAX} numbers of chaos labs are taken by live runs`)
}

function claimOf(number: number, server: Server): Claim {
  server.unref()
  return {
    number,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
