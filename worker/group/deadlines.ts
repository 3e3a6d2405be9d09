/**
 * One timer for many short works that have the same time each: as they begin in order, they are due in
 * order. A timer for each of thousands a second would cost more than the work of some.
 */
import type { Clock } from '../../lib/ports.ts'

export type Deadlines = {
  /** Calls `expire` after the time, unless the work is over before: that is what the answer is for. */
  begin(expire: () => void): () => void
  /** Nothing expires any more. */
  end(): void
}

type Work = { readonly dueAt: number; readonly expire: () => void }

export function createDeadlines(msMax: number, clock: Clock): Deadlines {
  /** In the order in which they are due. */
  const works = new Set<Work>()
  const ended = new AbortController()
  let isWatching = false

  async function watch(): Promise<void> {
    for (let [first] = works; first; [first] = works) {
      const leftMs = first.dueAt - clock.monotonic()
      if (leftMs > 0) await clock.sleep(leftMs, ended.signal)
      else {
        works.delete(first)
        first.expire()
      }
    }
  }

  function maybeWatch(): void {
    if (isWatching || ended.signal.aborted) return
    isWatching = true
    watch().then(
      () => (isWatching = false),
      () => undefined,
    )
  }

  return {
    begin(expire) {
      const work = { dueAt: clock.monotonic() + msMax, expire }
      works.add(work)
      maybeWatch()
      return () => void works.delete(work)
    },
    end() {
      works.clear()
      ended.abort()
    },
  }
}
