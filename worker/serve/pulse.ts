/** Wakes a loop: a ring while nobody waits is kept, many rings are one. */
import type { Clock } from '../../lib/ports.ts'

export type Pulse = {
  ring(): void
  /** Resolves at the next ring or after `ms`; rejects with the signal's reason. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function createPulse(clock: Clock): Pulse {
  let isRung = false
  let wake: (() => void) | undefined
  return {
    ring() {
      isRung = true
      wake?.()
    },
    async wait(ms, signal) {
      signal.throwIfAborted()
      if (!isRung) await sleepUntilRung(ms, signal)
      isRung = false
    },
  }

  async function sleepUntilRung(ms: number, signal: AbortSignal): Promise<void> {
    const rung = new AbortController()
    wake = () => rung.abort()
    try {
      await clock.sleep(ms, AbortSignal.any([rung.signal, signal]))
    } catch (error) {
      if (signal.aborted) throw error
    } finally {
      wake = undefined
    }
  }
}
