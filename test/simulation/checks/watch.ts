/**
 * K2: a watch sees each revision of its range once, whole and in order, or is told where history broke.
 * A validator follows one watch across all its reconnections.
 */
import type { KvEvent } from '../../../coord/kv/types.ts'
import type { Model } from './model.ts'
import { answeredEventText, answeredKvText, eventText, isInRange, kvText } from './model-types.ts'
import type { ModelEvent } from './model-types.ts'
import { demand } from './violation.ts'

export type WatchRange = {
  readonly key: string
  readonly rangeEnd: string
  readonly withPrevKv: boolean
  readonly skipPuts: boolean
  readonly skipDeletes: boolean
}

export type WatchValidator = {
  /** The next revision that this watch has not seen. */
  next(): number
  events(events: readonly KvEvent[], revision: number): void
  /** Nothing of the range is missing up to and including `revision`. */
  progress(revision: number): void
  /** The watch ended because history up to `compactRevision` is gone. */
  broke(compactRevision: number): void
  seen(): number
}

export function createWatchValidator(
  model: Model,
  name: string,
  range: WatchRange,
  from: number,
): WatchValidator {
  let next = from
  let seen = 0

  function wanted(revision: number): ModelEvent[] {
    return model
      .eventsAt(revision)
      .filter(
        (event) =>
          isInRange(event.key, range.key, range.rangeEnd) &&
          !(event.now ? range.skipPuts : range.skipDeletes),
      )
  }
  function missesNothing(until: number): void {
    for (; next <= until; next++) {
      const missed = wanted(next)
      demand(missed.length === 0, 'K2', () => `${name} skips ${missed.map(eventText).join(', ')}`)
    }
  }
  function hasRightPrevKv(told: KvEvent, event: ModelEvent): boolean {
    // What was before may be compacted by now; a wrong one is never right.
    if (!told.prevKv) return !range.withPrevKv || !event.before || isCompacted(event)
    return (
      range.withPrevKv && !!event.before && answeredKvText(told.prevKv) === kvText(event.before)
    )
  }
  const isCompacted = (event: ModelEvent): boolean => event.revision <= model.compactRevision() + 1

  function revisionOf(events: readonly KvEvent[], start: number): void {
    const revision = events[start]!.kv.modRevision
    demand(revision >= next, 'K2', () => `${name} sees ${revision} again, next is ${next}`)
    demand(revision <= model.revision(), 'K2', () => `${name} sees ${revision} before it is there`)
    missesNothing(revision - 1)
    const expected = wanted(revision)
    const told = events.slice(start, start + expected.length)
    const [is, want] = [told.map(answeredEventText).toSorted(), expected.map(eventText).toSorted()]
    demand(
      is.join() === want.join(),
      'K2',
      () => `${name} sees at ${revision}: ${is.join(', ')}; it should be ${want.join(', ')}`,
    )
    for (const event of told) {
      const twin = expected.find((other) => eventText(other) === answeredEventText(event))!
      demand(
        hasRightPrevKv(event, twin),
        'K2',
        () => `${name} tells a wrong value before ${revision}`,
      )
    }
    next = revision + 1
  }

  return {
    next: () => next,
    seen: () => seen,
    events(events, revision) {
      for (let start = 0; start < events.length;) {
        const from = events[start]!.kv.modRevision
        revisionOf(events, start)
        while (start < events.length && events[start]!.kv.modRevision === from) start++
      }
      seen += events.length
      demand(revision >= next - 1, 'K2', () => `${name}: header ${revision} before ${next - 1}`)
    },
    progress(revision) {
      const top = model.revision()
      demand(revision <= top, 'K2', () => `${name}: progress ${revision}, committed is ${top}`)
      missesNothing(revision)
    },
    broke(compactRevision) {
      const isTrue = compactRevision >= next && compactRevision <= model.compactRevision()
      demand(isTrue, 'K2', () => `${name} was told of ${compactRevision}, next is ${next}`)
      next = compactRevision + 1
    },
  }
}
