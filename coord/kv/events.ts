/** The history as a watcher sees it: whole revisions, in order, nothing left out (K2). */
import { isInRange, toKeyRange } from './bytes.ts'
import type { KeyRange } from './bytes.ts'
import { NONE, isLive, keyTextOf, previousOf, readSlot, revisionOf } from './history.ts'
import type { History } from './history.ts'
import { findKey } from './key-index.ts'
import { findRevision } from './revision-log.ts'
import type { KvState } from './state.ts'
import { EVENT } from './types.ts'
import type { KeyValue, KvEvent, KvOutcome } from './types.ts'
import type { WatchedEvents } from './watch-types.ts'

/** Counted for each event beside its key and values. */
const EVENT_OVERHEAD_BYTES = 32

export function readEvents(
  state: KvState,
  from: number,
  range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
  bytesMax: number,
  withPrevKv: boolean,
): KvOutcome<WatchedEvents> {
  if (from < state.compactRevision) return { ok: false, error: 'compacted' }
  const { history } = state
  const events: KvEvent[] = []
  let bytes = 0
  let last = 0
  for (const slot of slotsFrom(history, from, toKeyRange(range.key, range.rangeEnd))) {
    const revision = revisionOf(history, slot)
    if (bytes >= bytesMax && revision !== last)
      return { ok: true, value: { events, next: revision } }
    const event = toEvent(history, slot, withPrevKv)
    bytes += eventBytes(event)
    last = revision
    events.push(event)
  }
  return { ok: true, value: { events, next: Math.max(from, state.revision + 1) } }
}

/** Of one key there is a chain from the newest change back; of more, the log of all. */
function slotsFrom(history: History, from: number, range: KeyRange): Iterable<number> {
  return range.isPoint ? chainFrom(history, from, range.start) : logFrom(history, from, range)
}

function chainFrom(history: History, from: number, key: string): number[] {
  const slots: number[] = []
  const id = findKey(history.index, key)
  let slot = id === NONE ? NONE : (history.heads[id] ?? NONE)
  for (; slot !== NONE && revisionOf(history, slot) >= from; slot = previousOf(history, slot))
    slots.push(slot)
  return slots.reverse()
}

function* logFrom(history: History, from: number, range: KeyRange): Iterable<number> {
  const { log } = history
  for (let place = findRevision(log, from, history.revisions); place < log.end; place += 1) {
    const slot = log.slots[place] ?? 0
    if (isInRange(keyTextOf(history, slot), range)) yield slot
  }
}

function toEvent(history: History, slot: number, withPrevKv: boolean): KvEvent {
  const type = isLive(history, slot) ? EVENT.put : EVENT.delete
  const kv = readSlot(history, slot)
  const prevKv = withPrevKv ? valueBefore(history, slot) : undefined
  return prevKv ? { type, kv, prevKv } : { type, kv }
}

/** The key's value before the revision of the change; a compaction may have taken it. */
function valueBefore(history: History, slot: number): KeyValue | undefined {
  const revision = revisionOf(history, slot)
  let before = previousOf(history, slot)
  while (before !== NONE && revisionOf(history, before) === revision)
    before = previousOf(history, before)
  return before !== NONE && isLive(history, before) ? readSlot(history, before) : undefined
}

function eventBytes({ kv, prevKv }: KvEvent): number {
  const before = prevKv ? prevKv.key.length + prevKv.value.length : 0
  return EVENT_OVERHEAD_BYTES + kv.key.length + kv.value.length + before
}

/** The keys that changed from a revision on, as far as the history reaches. */
export function visitChanges(
  history: History,
  from: number,
  visit: (key: string, revision: number) => void,
): void {
  const { log } = history
  for (let place = findRevision(log, from, history.revisions); place < log.end; place += 1) {
    const slot = log.slots[place] ?? 0
    visit(keyTextOf(history, slot), revisionOf(history, slot))
  }
}
