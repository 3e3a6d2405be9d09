/**
 * Virtual time: a heap of what is to happen, run in order of time and, at equal times, in order of
 * planning. Nothing else moves a simulation on, so equal seeds meet equal orders.
 */

export type Cancel = () => void

export type Timeline = {
  /** True time in milliseconds since the world began. */
  now(): number
  after(delayMs: number, act: () => void): Cancel
  /** Runs everything due up to `untilMs`, or until `isDone` says so after an event. */
  run(untilMs: number, isDone?: () => boolean): void
  /** Events that were run. */
  count(): number
}

type Due = { readonly at: number; readonly order: number; act: (() => void) | undefined }

const isBefore = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

function push(heap: Due[], due: Due): void {
  let place = heap.length
  heap.push(due)
  while (place > 0) {
    const parent = (place - 1) >> 1
    if (!isBefore(due, heap[parent]!)) break
    heap[place] = heap[parent]!
    place = parent
  }
  heap[place] = due
}

function pop(heap: Due[]): Due {
  const top = heap[0]!
  const last = heap.pop()!
  if (heap.length === 0) return top
  let place = 0
  for (;;) {
    let child = place * 2 + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (!isBefore(heap[child]!, last)) break
    heap[place] = heap[child]!
    place = child
  }
  heap[place] = last
  return top
}

export function createTimeline(): Timeline {
  const heap: Due[] = []
  let [now, order, count] = [0, 0, 0]
  return {
    now: () => now,
    count: () => count,
    after(delayMs, act) {
      const due: Due = { at: now + Math.max(0, delayMs), order: order++, act }
      push(heap, due)
      return () => (due.act = undefined)
    },
    run(untilMs, isDone) {
      while (heap.length > 0 && heap[0]!.at <= untilMs) {
        const due = pop(heap)
        if (!due.act) continue
        now = due.at
        count++
        due.act()
        if (isDone?.()) return
      }
      now = Math.max(now, untilMs)
    },
  }
}
