/**
 * A loop of the worker: does its step at each ring and at least every so often, until its signal fires.
 * What the outside does to it is told once and tried again with a growing pause; a bug ends it.
 */
import { backoffMs, type Backoff } from '../../lib/backoff.ts'
import { operatingError } from '../../lib/error.ts'
import type { Clock, Logger, Random } from '../../lib/ports.ts'
import type { Pulse } from './pulse.ts'

export type LoopParts = {
  readonly name: string
  readonly pulse: Pulse
  /** Longest time between two steps. */
  readonly intervalMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Resolves with the time until it wants to be called again, if that is sooner than the interval. */
  readonly step: (signal: AbortSignal) => Promise<number | void>
}

/** Attempts are not counted: a cluster whose catalog was away for a day goes on by itself. */
const PAUSE: Backoff = { retriesMax: Number.MAX_SAFE_INTEGER, firstMs: 200, mostMs: 5_000 }

/** Resolves when the signal has fired; rejects only for a bug. */
export async function runLoop(parts: LoopParts, signal: AbortSignal): Promise<void> {
  let failures = 0
  let told: string | undefined
  while (!signal.aborted) {
    let waitMs = parts.intervalMs
    try {
      waitMs = Math.min(waitMs, (await parts.step(signal)) ?? waitMs)
      if (told !== undefined) parts.logger.log('info', `${parts.name} goes on`)
      failures = 0
      told = undefined
    } catch (error) {
      if (signal.aborted) return
      const failure = operatingError(error, 'INTERNAL', parts.name)
      waitMs = backoffMs(PAUSE, ++failures, parts.random)
      if (told !== failure.code) tell(parts, failure)
      told = failure.code
    }
    await parts.pulse.wait(waitMs, signal).catch(() => undefined)
  }
}

function tell(
  { logger, name }: LoopParts,
  { code, message }: { code: string; message: string },
): void {
  logger.log('warn', `${name} waits: ${message}`, { code })
}
