/** One timer that is always set to the next instant that matters. */
import type { Clock } from '../../lib/ports.ts'

export type Timer = {
  /** Rings once at this monotonic time instead of any set before; undefined: not at all. */
  set(at: number | undefined): void
}

export function createTimer(clock: Clock, ring: () => void): Timer {
  let armed: { readonly at: number; readonly off: AbortController } | undefined
  return {
    set(at) {
      if (armed?.at === at) return
      armed?.off.abort()
      armed = undefined
      if (at === undefined) return
      const mine = { at, off: new AbortController() }
      armed = mine
      const onTime = (): void => {
        if (armed !== mine) return
        armed = undefined
        ring()
      }
      const onOff = (): void => undefined
      // One more than asked for: a timer may fire a fraction of a millisecond early.
      clock.sleep(Math.max(0, at - clock.monotonic()) + 1, mine.off.signal).then(onTime, onOff)
    },
  }
}
