/**
 * One limit that all workers of the cluster share: a token bucket in the catalog, asked for a few tokens
 * at a time.
 *
 * Invariants: each admission uses up one token, which was granted at most TOKEN_MS before; so all workers
 * together admit in any window no more than the bucket gives in that window and TOKEN_MS before it.
 * Callers are admitted in order. While the catalog is away, each worker keeps to its share of the rate,
 * spaced evenly, so that all of them together neither stop nor burst.
 */
import type { ClusterCatalog, RateLimit } from '../../catalog/cluster.ts'
import { backoffMs, type Backoff } from '../../lib/backoff.ts'
import type { Clock, Logger, Random } from '../../lib/ports.ts'
import { createWaiters } from './waiters.ts'

export type SharedLimit = {
  /** Resolves when a request may be sent; rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<void>
  /** The other side asked to wait: this worker does, and what has gathered for all is thrown away. */
  pause(ms: number): void
}

export type SharedLimitDeps = {
  readonly catalog: Pick<ClusterCatalog, 'takeTokens'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** How many workers were there when the cluster was seen last, this one included. */
  readonly workers: () => number
}

/** Tokens are asked for at once at the most, and no more than a second's worth. */
const FETCH_MAX = 10
/** Tokens that were not used within this are forgotten. */
const TOKEN_MS = 1_000
/** The catalog is away when it does not answer within this. */
const CALL_MS_MAX = 2_000
/** An empty bucket is looked at this often at the most; what gathers meanwhile is not lost. */
const LOOK_MS = 200
/** How long the catalog is left alone after it did not answer. */
const AWAY: Backoff = { retriesMax: Infinity, firstMs: 500, mostMs: 2_000 }

/** Tokens in hand, and since when. */
type Stock = { readonly tokens: number; readonly takenAt: number }
const EMPTY: Stock = { tokens: 0, takenAt: -Infinity }

/** `bucket` and `limit` as sharedBuckets (buckets.ts) gives them. */
export function createSharedLimit(
  bucket: string,
  limit: RateLimit,
  deps: SharedLimitDeps,
): SharedLimit {
  const { clock } = deps
  const fetchMax = Math.max(1, Math.min(FETCH_MAX, Math.floor(limit.perSecond)))
  const waiters = createWaiters(admitAll)
  let stock = EMPTY
  /** Grows while tokens are used up at once, so that a busy worker asks less often. */
  let fetch = 1
  let pausedUntilMs = -Infinity
  let outage: { readonly attempt: number; readonly askAgainAt: number } | undefined
  let nextLocalMs = -Infinity

  /** Admits callers, first come first served, until none is left; `idle` fires when none is. */
  async function admitAll(idle: AbortSignal): Promise<void> {
    while (waiters.size() > 0) {
      const now = clock.monotonic()
      if (now < pausedUntilMs) await clock.sleep(Math.max(1, pausedUntilMs - now), idle)
      else if (stock.tokens > 0 && now - stock.takenAt < TOKEN_MS) {
        stock = { ...stock, tokens: stock.tokens - 1 }
        waiters.admit()
      } else if (outage) {
        if (now >= outage.askAgainAt) askAgain(outage.attempt).catch(() => undefined)
        await admitLocally(now, idle)
      } else await refill(idle)
    }
  }

  async function refill(idle: AbortSignal): Promise<void> {
    const isBusy = clock.monotonic() - stock.takenAt < TOKEN_MS
    fetch = Math.min(fetchMax, isBusy ? fetch * 2 : Math.max(1, waiters.size()))
    const grant = await takeTokens(fetch)
    if (!grant) return
    if (grant.granted > 0) stock = { tokens: grant.granted, takenAt: clock.monotonic() }
    else await clock.sleep(Math.max(grant.waitMs, lookMs()), idle)
  }

  /** Chance keeps workers from looking all at once; the bucket does not run over within this. */
  function lookMs(): number {
    const fullMs = (1_000 / limit.perSecond) * limit.burst
    return Math.max(1, Math.min(LOOK_MS, fullMs / 2) * (0.5 + deps.random.float() / 2))
  }

  /** Nobody waits for the answer: until it is there, the worker goes on alone. */
  async function askAgain(attempt: number): Promise<void> {
    outage = { attempt, askAgainAt: Infinity }
    const grant = await takeTokens(1)
    if (grant && grant.granted > 0) stock = { tokens: grant.granted, takenAt: clock.monotonic() }
  }

  /** Undefined: the catalog is away. An answer that comes too late gives nothing to anybody. */
  async function takeTokens(want: number) {
    const answered = new AbortController()
    const late = clock.sleep(CALL_MS_MAX, answered.signal).then(() => {
      throw new Error(`no answer within ${CALL_MS_MAX} ms`)
    })
    late.catch(() => undefined)
    try {
      const grant = await Promise.race([deps.catalog.takeTokens(bucket, want, limit), late])
      if (outage) deps.logger.log('info', 'the limit is shared with all workers again', { bucket })
      outage = undefined
      return grant
    } catch (error) {
      const attempt = (outage?.attempt ?? 0) + 1
      if (!outage) {
        const message = `the limit cannot be shared, this worker keeps to its part: ${String(error)}`
        deps.logger.log('warn', message, { bucket })
      }
      outage = { attempt, askAgainAt: clock.monotonic() + backoffMs(AWAY, attempt, deps.random) }
      return undefined
    } finally {
      answered.abort()
    }
  }

  async function admitLocally(now: number, idle: AbortSignal): Promise<void> {
    if (nextLocalMs > now) return clock.sleep(Math.max(1, nextLocalMs - now), idle)
    nextLocalMs = now + (1_000 / limit.perSecond) * Math.max(1, deps.workers())
    waiters.admit()
  }

  return {
    take: (signal) => waiters.wait(signal),
    pause(ms) {
      const untilMs = clock.monotonic() + ms
      if (untilMs <= pausedUntilMs) return
      pausedUntilMs = untilMs
      stock = EMPTY
      // The others are slowed down to the bare rate; what it cannot do now it need not do later.
      if (!outage) takeTokens(Math.max(1, Math.ceil(limit.burst))).catch(() => undefined)
    },
  }
}
