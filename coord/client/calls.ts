/**
 * The plain calls of the client. Reads are repeated on other endpoints until their time is over;
 * writes are sent once, and their error says whether they can have landed.
 */
import { kvService, leaseService, type ResponseHeader } from '../../proto/gen/rpc.ts'
import type { CallOptions, CoordClient, Revisioned } from './client.ts'
import type { Link, Method } from './link.ts'
import type { Pool } from './pool.ts'

export type Calls = Omit<CoordClient, 'session' | 'watch' | typeof Symbol.asyncDispose>

/** A call that may be repeated. */
export function read<Q, A>(
  pool: Pool,
  method: Method<Q, A>,
  request: Q,
  options: CallOptions = {},
  needsLeader = true,
): Promise<A> {
  const { signal } = options
  return pool.repeat(
    (link, limitMs) => link.unary(method, request, { limitMs, needsLeader, signal }),
    options,
  )
}

/** A call that is sent once. */
export function write<Q, A>(
  pool: Pool,
  method: Method<Q, A>,
  request: Q,
  options: CallOptions = {},
): Promise<A> {
  const { signal } = options
  return pool.once(
    (link, limitMs) => link.unary(method, request, { limitMs, needsLeader: true, signal }),
    options,
  )
}

export function createCalls(pool: Pool): Calls {
  return {
    async range(request, options) {
      const needsLeader = request.serializable !== true
      return revisioned(await read(pool, kvService.range, request, options, needsLeader))
    },
    put: async (request, options) => revisioned(await write(pool, kvService.put, request, options)),
    deleteRange: async (request, options) =>
      revisioned(await write(pool, kvService.deleteRange, request, options)),
    txn: async (request, options) => revisioned(await write(pool, kvService.txn, request, options)),
    compact: async (revision, options) =>
      revisioned(await write(pool, kvService.compact, { revision }, options)),
    async leaseGrant(ttl, { id, ...options } = {}) {
      return write(pool, leaseService.leaseGrant, { ttl, id: id ?? 0n }, options)
    },
    async leaseRevoke(id, options) {
      await write(pool, leaseService.leaseRevoke, { id }, options)
    },
    leaseKeepAliveOnce: (id, options = {}) =>
      pool.repeat((link, limitMs) => renewOnce(link, id, limitMs, options.signal), options),
    leaseTimeToLive: (id, { keys, ...options } = {}) =>
      read(pool, leaseService.leaseTimeToLive, { id, keys: keys ?? false }, options),
    async leases(options) {
      const { leases } = await read(pool, leaseService.leaseLeases, {}, options)
      return leases.map(({ id }) => id)
    },
  }
}

function revisioned<T extends { readonly header?: ResponseHeader }>(answer: T): Revisioned<T> {
  return { ...answer, revision: answer.header?.revision ?? 0 }
}

/** A stream for one renewal. Renewing twice does no harm, so this may be repeated. */
function renewOnce(
  link: Link,
  id: bigint,
  limitMs: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly ttl: number }> {
  return link.exchange(leaseService.leaseKeepAlive, { id }, { limitMs, needsLeader: true, signal })
}
