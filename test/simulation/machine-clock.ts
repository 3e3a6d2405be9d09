/**
 * A machine's own idea of time: it may run fast or slow, and jump ahead (C1, C2). It remembers how it
 * went, so that a check can ask how much of it passed between two moments of true time.
 */

export type MachineClock = {
  /** Local milliseconds at a moment of true time, now or earlier. */
  at(trueMs: number): number
  setRate(trueMs: number, rate: number): void
  jump(trueMs: number, byMs: number): void
}

type Stretch = { readonly fromMs: number; readonly localMs: number; readonly rate: number }

export function createMachineClock(startMs: number, rate: number): MachineClock {
  const stretches: Stretch[] = [{ fromMs: 0, localMs: startMs, rate }]
  const at = (trueMs: number): number => {
    const { fromMs, localMs, rate } = stretches.findLast((stretch) => stretch.fromMs <= trueMs)!
    return localMs + (trueMs - fromMs) * rate
  }
  return {
    at,
    setRate: (trueMs, next) =>
      void stretches.push({ fromMs: trueMs, localMs: at(trueMs), rate: next }),
    jump(trueMs, byMs) {
      const { rate } = stretches.at(-1)!
      stretches.push({ fromMs: trueMs, localMs: at(trueMs) + byMs, rate })
    },
  }
}
