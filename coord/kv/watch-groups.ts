/**
 * Watches that look at the same thing with the same wishes form a group: a change is held against
 * each group once, and what a group has read is read once for all of its watches.
 */
import { isInRange, toKeyRange } from './bytes.ts'
import type { KeyRange } from './bytes.ts'
import { EVENT } from './types.ts'
import type { KvEvent } from './types.ts'
import type { WatchRequest, WatchedEvents, WatchedStore } from './watch-types.ts'

export type WatchGroup<T> = {
  readonly name: string
  readonly range: KeyRange
  readonly request: WatchRequest
  readonly members: Set<T>
  /** The last thing read, while the store has not moved on. */
  last: Reading | undefined
}

type Reading = {
  readonly from: number
  readonly revision: number
  readonly bytesMax: number
  readonly found: WatchedEvents
}

export type WatchGroups<T> = {
  readonly byName: Map<string, WatchGroup<T>>
  /** Groups of one key, by the key; and all others. */
  readonly points: Map<string, Set<WatchGroup<T>>>
  readonly ranges: Set<WatchGroup<T>>
}

export function createWatchGroups<T>(): WatchGroups<T> {
  return { byName: new Map(), points: new Map(), ranges: new Set() }
}

/** Finds or makes the group that a request belongs to. */
export function joinGroup<T>(groups: WatchGroups<T>, request: WatchRequest): WatchGroup<T> {
  const range = toKeyRange(request.key, request.rangeEnd)
  const name = nameOf(range, request)
  const known = groups.byName.get(name)
  if (known) return known
  const group = { name, range, request, members: new Set<T>(), last: undefined }
  groups.byName.set(name, group)
  if (range.isPoint) {
    const same = groups.points.get(range.start) ?? new Set()
    groups.points.set(range.start, same.add(group))
  } else groups.ranges.add(group)
  return group
}

/** Takes a watch out; an empty group goes. */
export function leaveGroup<T>(groups: WatchGroups<T>, group: WatchGroup<T>, member: T): void {
  group.members.delete(member)
  if (group.members.size > 0) return
  groups.byName.delete(group.name)
  groups.ranges.delete(group)
  const same = groups.points.get(group.range.start)
  if (same?.delete(group) && same.size === 0) groups.points.delete(group.range.start)
}

/** The groups that look at a key. */
export function eachGroupOf<T>(
  groups: WatchGroups<T>,
  key: string,
  visit: (group: WatchGroup<T>) => void,
): void {
  for (const group of groups.points.get(key) ?? []) visit(group)
  for (const group of groups.ranges) if (isInRange(key, group.range)) visit(group)
}

/** The group's events from a revision on; undefined if the history does not reach back so far. */
export function readGroup<T>(
  group: WatchGroup<T>,
  store: WatchedStore,
  from: number,
  bytesMax: number,
): WatchedEvents | undefined {
  const { last, request } = group
  if (last?.from === from && last.revision === store.revision && last.bytesMax === bytesMax)
    return last.found
  const read = store.eventsSince(from, request, bytesMax, request.withPrevKv)
  if (!read.ok) return undefined
  const { events, next } = read.value
  const found = { events: filterEvents(events, request), next }
  group.last = { from, revision: store.revision, bytesMax, found }
  return found
}

function filterEvents(events: readonly KvEvent[], request: WatchRequest): readonly KvEvent[] {
  if (!request.skipPuts && !request.skipDeletes) return events
  return events.filter(({ type }) => !(type === EVENT.put ? request.skipPuts : request.skipDeletes))
}

function nameOf({ start, end, isPoint }: KeyRange, request: WatchRequest): string {
  const { withPrevKv, skipPuts, skipDeletes } = request
  return JSON.stringify([start, end ?? 0, isPoint, withPrevKv, skipPuts, skipDeletes])
}
