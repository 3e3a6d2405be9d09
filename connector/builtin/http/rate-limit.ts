/**
 * Spaces requests out. Each request reserves the next free moment, so callers are served in order and
 * any number of them share one limit.
 */
import type { Clock } from '../../../lib/ports.ts'

export type RateLimit = {
  /** Resolves when a request may be sent; rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<void>
  /** Nobody sends for this long: the other side asked for it. */
  pause(ms: number): void
}

/** A token bucket: `perSecond` on average, up to `burst` at once after a rest. */
export function createRateLimit(perSecond: number, burst: number, clock: Clock): RateLimit {
  const spacingMs = 1000 / perSecond
  const restMs = spacingMs === 0 ? 0 : Math.max(0, burst - 1) * spacingMs
  let nextMs = -Infinity
  let pausedUntilMs = -Infinity

  return {
    async take(signal) {
      signal.throwIfAborted()
      const now = clock.monotonic()
      nextMs = Math.max(nextMs, now - restMs)
      const mineMs = nextMs
      nextMs += spacingMs
      for (let waitMs = Math.max(mineMs, pausedUntilMs) - now; waitMs > 0;) {
        await clock.sleep(waitMs, signal)
        waitMs = pausedUntilMs - clock.monotonic()
      }
    },
    pause(ms) {
      pausedUntilMs = Math.max(pausedUntilMs, clock.monotonic() + ms)
    },
  }
}

/** A request passes all limits; a pause holds in the first. */
export function joinRateLimits(limits: readonly RateLimit[]): RateLimit {
  return {
    async take(signal) {
      for (const limit of limits) await limit.take(signal)
    },
    pause(ms) {
      for (const limit of limits) limit.pause(ms)
    },
  }
}
