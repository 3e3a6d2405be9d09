/** The client as a whole: calls, sessions and watches over one pool of endpoints. */
import { leaseService, watchService } from '../../proto/gen/rpc.ts'
import { createCalls } from './calls.ts'
import type { ClientConfig, CoordClient } from './client.ts'
import { type ClientParts, createPool } from './pool.ts'
import { keepSession, type SessionParts } from './session.ts'
import { openWatch, type WatchParts } from './watch.ts'

/**
 * A client of a coordinator, ours or a real etcd. Nothing is connected before the first call; disposing
 * of it ends its watches and connections. Sessions are disposed of first, by whoever opened them.
 */
export function createCoordClient(config: ClientConfig, parts: ClientParts): CoordClient {
  const { clock, logger } = parts
  const pool = createPool(config, parts)
  const calls = createCalls(pool)
  const ended = new AbortController()
  const revoke = async (lease: bigint): Promise<void> => {
    try {
      await calls.leaseRevoke(lease)
    } catch (error) {
      // It runs out by itself.
      const reason = error instanceof Error ? error.message : String(error)
      logger.log('warn', 'a lease could not be given back', { lease: lease.toString(16), reason })
    }
  }
  const openRenewals: SessionParts['openRenewals'] = (to, options) =>
    pool.stream(leaseService.leaseKeepAlive, to, options)
  const openStream: WatchParts['openStream'] = (to, options) =>
    pool.stream(watchService.watch, to, options)
  return {
    ...calls,
    async session(ttlSeconds, options) {
      const sentAt = clock.monotonic()
      const { id, ttl } = await calls.leaseGrant(ttlSeconds, options)
      return keepSession({ id, ttlMs: ttl * 1000, sentAt }, { ...parts, openRenewals, revoke })
    },
    watch: (key, options = {}) =>
      openWatch({ ...parts, openStream, ended: ended.signal }, key, options),
    [Symbol.asyncDispose]() {
      ended.abort()
      pool.close()
      return Promise.resolve()
    },
  }
}
