/** Bounded, jittered retry. */
import { isRetryable, type HakiriError } from './error.ts'
import type { Clock, Random } from './ports.ts'

export type Backoff = {
  /** Attempts after the first one. */
  readonly retriesMax: number
  readonly firstMs: number
  readonly mostMs: number
}

export const DEFAULT_BACKOFF: Backoff = { retriesMax: 8, firstMs: 1_000, mostMs: 300_000 }

/** The wait before retry number `attempt` (from 1): exponential, with the upper half left to chance. */
export function backoffMs(backoff: Backoff, attempt: number, random: Random): number {
  const ceiling = Math.min(backoff.mostMs, backoff.firstMs * 2 ** (attempt - 1))
  return Math.round(ceiling / 2 + (ceiling / 2) * random.float())
}

export type RetryHooks = {
  readonly clock: Clock
  readonly random: Random
  readonly signal?: AbortSignal
  readonly onRetry?: (error: HakiriError, attempt: number, waitMs: number) => void
}

/** Calls `work` until it succeeds, fails for good, or the attempts are used up. */
export async function withRetry<T>(
  backoff: Backoff,
  hooks: RetryHooks,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt)
    } catch (error) {
      if (!isRetryable(error) || attempt > backoff.retriesMax || hooks.signal?.aborted) throw error
      const failure = error as HakiriError
      const waitMs = Math.max(backoffMs(backoff, attempt, hooks.random), failure.retryAfterMs ?? 0)
      hooks.onRetry?.(failure, attempt, waitMs)
      await hooks.clock.sleep(waitMs, hooks.signal)
    }
  }
}
