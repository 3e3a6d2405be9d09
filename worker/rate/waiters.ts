/** A line of callers who are let through one by one. Whoever gives up leaves the line. */

export type Waiters = {
  readonly size: () => number
  /** Joins the line; resolves when admitted, rejects with the signal's reason. */
  wait(signal: AbortSignal): Promise<void>
  /** Lets the first one through. */
  admit(): void
}

type Waiter = { readonly enter: () => void }

/**
 * `serve` runs while anybody waits; its signal fires when the last one has gone. What it throws then is
 * expected, and anything else is a bug.
 */
export function createWaiters(serve: (idle: AbortSignal) => Promise<void>): Waiters {
  const line = new Set<Waiter>()
  let serving: AbortController | undefined

  function start(): void {
    if (serving) return
    const idle = new AbortController()
    serving = idle
    serve(idle.signal)
      .catch((error: unknown) => {
        if (!idle.signal.aborted) throw error
      })
      .finally(() => {
        serving = undefined
        if (line.size > 0) start()
      })
  }

  function leave(waiter: Waiter): void {
    line.delete(waiter)
    if (line.size === 0) serving?.abort()
  }

  return {
    size: () => line.size,
    async wait(signal) {
      signal.throwIfAborted()
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const waiter: Waiter = { enter: resolve }
      const giveUp = (): void => {
        leave(waiter)
        reject(signal.reason)
      }
      signal.addEventListener('abort', giveUp, { once: true })
      line.add(waiter)
      start()
      try {
        await promise
      } finally {
        signal.removeEventListener('abort', giveUp)
      }
    },
    admit() {
      const [first] = line
      if (!first) return
      line.delete(first)
      first.enter()
    },
  }
}
