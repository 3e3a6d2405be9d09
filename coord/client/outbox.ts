/** A bounded queue between a stream that brings items and one consumer that takes them in order. */

export type Outbox<T> = {
  put(item: T, bytes: number): void
  isFull(): boolean
  /** What was put before is still handed out; then the iteration ends, with the error if there is one. */
  end(error?: Error): void
  take(): AsyncIterator<T>
}

export type OutboxHooks = {
  readonly onFull: () => void
  readonly onRoom: () => void
  /** The consumer left its loop. */
  readonly onLeft: () => void
}

const ITEMS_MAX = 64
const BYTES_MAX = 4 * 1024 * 1024

export function createOutbox<T>(hooks: OutboxHooks): Outbox<T> {
  const items: { readonly item: T; readonly bytes: number }[] = []
  const waiting: PromiseWithResolvers<IteratorResult<T, undefined>>[] = []
  let bytesHeld = 0
  let ended: { readonly error: Error | undefined } | undefined
  const isFull = (): boolean => items.length >= ITEMS_MAX || bytesHeld >= BYTES_MAX

  const next = (): Promise<IteratorResult<T, undefined>> => {
    const first = items.shift()
    if (first) {
      const wasFull = items.length + 1 >= ITEMS_MAX || bytesHeld >= BYTES_MAX
      bytesHeld -= first.bytes
      if (wasFull && !isFull()) hooks.onRoom()
      return Promise.resolve({ done: false, value: first.item })
    }
    if (ended?.error) return Promise.reject(ended.error)
    if (ended) return Promise.resolve({ done: true, value: undefined })
    const waiter = Promise.withResolvers<IteratorResult<T, undefined>>()
    waiting.push(waiter)
    return waiter.promise
  }
  return {
    put(item, bytes) {
      const waiter = waiting.shift()
      if (waiter) return waiter.resolve({ done: false, value: item })
      items.push({ item, bytes })
      bytesHeld += bytes
      if (isFull()) hooks.onFull()
    },
    isFull,
    end(error) {
      if (ended) return
      ended = { error }
      for (const waiter of waiting.splice(0))
        if (error) waiter.reject(error)
        else waiter.resolve({ done: true, value: undefined })
    },
    take: () => ({
      next,
      return() {
        hooks.onLeft()
        items.length = 0
        return Promise.resolve({ done: true, value: undefined })
      },
    }),
  }
}
