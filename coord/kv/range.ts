/** Reads: which keys of a range, in which order, how many of them. The limit comes after filters and sorting. */
import { NO_BYTES, toKeyRange } from './bytes.ts'
import { checkRange } from './check.ts'
import { NONE, offsetOfSlot, readSlot, revisionOf, slabOfSlot } from './history.ts'
import type { History } from './history.ts'
import { createRevisionAt } from './record.ts'
import { slotsIn } from './state.ts'
import type { KvState } from './state.ts'
import { SORT_ORDER, SORT_TARGET } from './types.ts'
import type { KeyValue, KvErrorCode, KvOutcome, RangeRequest, RangeResponse } from './types.ts'

export function rangeOutcome(state: KvState, request: RangeRequest): KvOutcome<RangeResponse> {
  const error = checkRange(request) ?? checkReadable(state, request.revision)
  return error ? { ok: false, error } : { ok: true, value: readRange(state, request) }
}

/** Whether a revision can be read; 0 and below stand for now. */
export function checkReadable(state: KvState, revision: number): KvErrorCode | undefined {
  if (revision <= 0) return undefined
  if (revision > state.revision) return 'future-revision'
  return revision < state.compactRevision ? 'compacted' : undefined
}

/** Reads what may be read; inside a transaction "now" includes what it has written. */
export function readRange(state: KvState, request: RangeRequest): RangeResponse {
  const { history } = state
  const revision = request.revision > 0 ? request.revision : undefined
  const all = slotsIn(state, toKeyRange(request.key, request.rangeEnd), revision)
  if (request.countOnly) return { kvs: [], more: false, count: all.length }
  const sorted = sortSlots(history, filterSlots(history, all, request), request)
  const isCut = request.limit > 0 && sorted.length > request.limit
  const slots = isCut ? sorted.slice(0, request.limit) : sorted
  const kvs = slots.map((slot) => readSlot(history, slot))
  return {
    kvs: request.keysOnly ? kvs.map((kv) => ({ ...kv, value: NO_BYTES })) : kvs,
    more: isCut,
    count: all.length,
  }
}

function filterSlots(history: History, slots: number[], request: RangeRequest): number[] {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  const isWithin = (value: number, min: number, max: number): boolean =>
    (min === 0 || value >= min) && (max === 0 || value <= max)
  if (!(minModRevision || maxModRevision || minCreateRevision || maxCreateRevision)) return slots
  return slots.filter(
    (slot) =>
      isWithin(revisionOf(history, slot), minModRevision, maxModRevision) &&
      isWithin(createRevisionOf(history, slot), minCreateRevision, maxCreateRevision),
  )
}

/** Keys come in ascending order already; equals stay in it whatever the direction. */
function sortSlots(history: History, slots: number[], request: RangeRequest): number[] {
  const isDescending = request.sortOrder === SORT_ORDER.descend
  if (request.sortTarget === SORT_TARGET.key) return isDescending ? slots.reverse() : slots
  const compare = comparator(request.sortTarget)
  const sign = isDescending ? -1 : 1
  const rows = slots.map((slot) => ({ slot, kv: readSlot(history, slot) }))
  return rows.sort((a, b) => sign * compare(a.kv, b.kv)).map(({ slot }) => slot)
}

function comparator(target: number): (a: KeyValue, b: KeyValue) => number {
  if (target === SORT_TARGET.version) return (a, b) => a.version - b.version
  if (target === SORT_TARGET.create) return (a, b) => a.createRevision - b.createRevision
  if (target === SORT_TARGET.mod) return (a, b) => a.modRevision - b.modRevision
  return (a, b) => Buffer.compare(a.value, b.value)
}

function createRevisionOf(history: History, slot: number): number {
  return slot === NONE
    ? 0
    : createRevisionAt(slabOfSlot(history, slot).view, offsetOfSlot(history, slot))
}
