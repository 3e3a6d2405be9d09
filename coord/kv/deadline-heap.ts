/** A binary min-heap by deadline. Entries are not removed from its middle: their owner skips stale ones. */

export type DeadlineHeap<T> = {
  readonly size: number
  push(atMs: number, item: T): void
  peek(): { readonly atMs: number; readonly item: T } | undefined
  pop(): void
  clear(): void
}

type Entry<T> = { readonly atMs: number; readonly item: T }

export function createDeadlineHeap<T>(): DeadlineHeap<T> {
  const entries: Entry<T>[] = []
  return {
    get size() {
      return entries.length
    },
    push(atMs, item) {
      entries.push({ atMs, item })
      siftUp(entries, entries.length - 1)
    },
    peek: () => entries[0],
    pop() {
      const last = entries.pop()
      if (last === undefined || entries.length === 0) return
      entries[0] = last
      siftDown(entries, 0)
    },
    clear() {
      entries.length = 0
    },
  }
}

function siftUp<T>(entries: Entry<T>[], from: number): void {
  let at = from
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!swapIfEarlier(entries, at, parent)) return
    at = parent
  }
}

function siftDown<T>(entries: Entry<T>[], from: number): void {
  let at = from
  for (;;) {
    const left = 2 * at + 1
    const right = left + 1
    const child = isEarlier(entries[right], entries[left]) ? right : left
    if (!swapIfEarlier(entries, child, at)) return
    at = child
  }
}

function isEarlier<T>(a: Entry<T> | undefined, b: Entry<T> | undefined): boolean {
  return a !== undefined && b !== undefined && a.atMs < b.atMs
}

/** Puts the entry at `below` where `above` is if it is the earlier one. */
function swapIfEarlier<T>(entries: Entry<T>[], below: number, above: number): boolean {
  const a = entries[below]
  const b = entries[above]
  if (!a || !b || a.atMs >= b.atMs) return false
  entries[below] = b
  entries[above] = a
  return true
}
