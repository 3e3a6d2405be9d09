/** The real clock and the real dice. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock, Random, Scheduler } from '../ports.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal ? { signal } : {})
  },
}

export const systemScheduler: Scheduler = {
  soon: (run) => void setImmediate(run),
  every: (ms, run) => {
    const timer = setInterval(run, ms)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  },
}

export const systemRandom: Random = { float: () => Math.random(), uuid: () => randomUUID() }
