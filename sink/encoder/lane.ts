/** One thing at a time, in order, with an end to the queue. */
import { assert } from '../../lib/assert.ts'

export type Lane = {
  /** Waits for its turn, unless the signal fires before. */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
  readonly waiting: () => number
}

export function createLane(queueMax: number): Lane {
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0
  return {
    waiting: () => waiting,
    async run(signal, work) {
      assert(waiting < queueMax, `more than ${queueMax} jobs wait for the encoder`)
      signal.throwIfAborted()
      waiting++
      const { promise: aborted, reject } = Promise.withResolvers<never>()
      const leave = (): void => reject(signal.reason)
      signal.addEventListener('abort', leave, { once: true })
      const turn = last.then(async () => {
        // From here on the work itself answers to the signal, and is waited for.
        signal.removeEventListener('abort', leave)
        signal.throwIfAborted()
        return work()
      })
      last = turn.catch(() => undefined)
      try {
        return await Promise.race([turn, aborted])
      } finally {
        signal.removeEventListener('abort', leave)
        waiting--
      }
    },
  }
}
