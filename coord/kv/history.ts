/**
 * Every change of every key that is still known: records in slabs, found by key (sorted index, then
 * from the newest change back) and by revision (a queue). After a compaction at C exactly the changes
 * at C and later are kept, and of earlier ones those that are a key's value at C: what is kept is a
 * function of the commands alone, never of when memory was tidied (K3).
 */
import { fromKey, toKey } from './bytes.ts'
import { createKeyIndex, findKey, insertKey, removeKey } from './key-index.ts'
import type { KeyIndex } from './key-index.ts'
import { isDeletionAt, leaseAt, readRecord, recordSize, writeRecord } from './record.ts'
import type { RecordFields } from './record.ts'
import { createRevisionLog, dropBefore, findRevision, pushSlot } from './revision-log.ts'
import type { RevisionLog } from './revision-log.ts'
import { createSlabs, eachRecord, release, reserve, sizeAt, slabAt, sparseSlabs } from './slabs.ts'
import type { Slab, Slabs } from './slabs.ts'
import type { KeyValue } from './types.ts'

export const NONE = -1

/** Counted for each change beside its key and value, so that tiny values fill the quota too. */
const CHANGE_OVERHEAD_BYTES = 64

const IN_USE = 1
const DELETION = 2
/** Not in the image yet. */
const UNSAVED = 4

/** The columns are indexed by slot: the number of a change for as long as it is kept. */
export type History = {
  readonly index: KeyIndex
  readonly slabs: Slabs
  readonly log: RevisionLog
  /** By key number: the key, and the slot of its newest change. */
  readonly keys: (string | undefined)[]
  readonly heads: number[]
  readonly freeKeys: number[]
  revisions: Float64Array
  subs: Uint32Array
  /** The change of the same key before; for a free slot, the next free one. */
  previous: Int32Array
  keyOf: Uint32Array
  slabOf: Uint32Array
  offsetOf: Uint32Array
  state: Uint8Array
  slotCount: number
  freeSlot: number
  liveKeys: number
  sizeBytes: number
  /** Slots that the image does not have, and (revision, sub) pairs that it should lose. */
  unsaved: number[]
  removed: number[]
}

const SLOTS_MIN = 256

export function createHistory(): History {
  return {
    index: createKeyIndex(),
    slabs: createSlabs(),
    log: createRevisionLog(),
    keys: [],
    heads: [],
    freeKeys: [],
    revisions: new Float64Array(SLOTS_MIN),
    subs: new Uint32Array(SLOTS_MIN),
    previous: new Int32Array(SLOTS_MIN),
    keyOf: new Uint32Array(SLOTS_MIN),
    slabOf: new Uint32Array(SLOTS_MIN),
    offsetOf: new Uint32Array(SLOTS_MIN),
    state: new Uint8Array(SLOTS_MIN),
    slotCount: 0,
    freeSlot: NONE,
    liveKeys: 0,
    sizeBytes: 0,
    unsaved: [],
    removed: [],
  }
}

/** What a change of this key with this value takes of the quota. */
export function changeCost(keyLength: number, valueLength: number): number {
  return CHANGE_OVERHEAD_BYTES + keyLength + valueLength
}

/** The slot of the key's value now, or NONE. */
export function liveSlot(history: History, keyId: number): number {
  const head = history.heads[keyId] ?? NONE
  return head !== NONE && isLive(history, head) ? head : NONE
}

/** The slot of the key's value at a revision, or NONE. */
export function slotAt(history: History, keyId: number, revision: number): number {
  let slot = history.heads[keyId] ?? NONE
  while (slot !== NONE && revisionOf(history, slot) > revision) slot = previousOf(history, slot)
  return slot !== NONE && isLive(history, slot) ? slot : NONE
}

export function isLive(history: History, slot: number): boolean {
  return ((history.state[slot] ?? 0) & DELETION) === 0
}

export function revisionOf(history: History, slot: number): number {
  return history.revisions[slot] ?? 0
}

export function previousOf(history: History, slot: number): number {
  return history.previous[slot] ?? NONE
}

/** The key of a change. */
export function keyTextOf(history: History, slot: number): string {
  return history.keys[history.keyOf[slot] ?? 0] ?? ''
}

export function slabOfSlot(history: History, slot: number): Slab {
  return slabAt(history.slabs, history.slabOf[slot] ?? 0)
}

export function offsetOfSlot(history: History, slot: number): number {
  return history.offsetOf[slot] ?? 0
}

/** A change as the API shows it; key and value are views of memory that is never rewritten. */
export function readSlot(history: History, slot: number): KeyValue {
  const slab = slabOfSlot(history, slot)
  const offset = offsetOfSlot(history, slot)
  const size = sizeAt(slab, offset)
  return readRecord(slab.bytes, slab.view, offset, size, revisionOf(history, slot))
}

export function leaseOfSlot(history: History, slot: number): bigint {
  return leaseAt(slabOfSlot(history, slot).view, offsetOfSlot(history, slot))
}

/** Adds a change at (revision, sub), which is above all others; `keyId` is NONE for an unknown key. */
export function append(
  history: History,
  key: string,
  keyId: number,
  fields: RecordFields,
  revision: number,
  sub: number,
): number {
  const slot = takeSlot(history)
  const offset = reserve(history.slabs, slot, recordSize(fields))
  const slab = slabAt(history.slabs, history.slabs.current)
  writeRecord(slab.bytes, slab.view, offset, fields)
  link(history, slot, offset, key, keyId, fields.isDeletion, revision, sub)
  history.state[slot] = (history.state[slot] ?? 0) | UNSAVED
  history.unsaved.push(slot)
  history.sizeBytes += changeCost(fields.key.length, fields.value.length)
  return slot
}

/** Takes a record over from the image, in the order of (revision, sub). */
export function restore(history: History, payload: Buffer, revision: number, sub: number): void {
  const slot = takeSlot(history)
  const offset = reserve(history.slabs, slot, payload.length)
  const slab = slabAt(history.slabs, history.slabs.current)
  slab.bytes.set(payload, offset)
  const { key, value } = readRecord(slab.bytes, slab.view, offset, payload.length, revision)
  const text = toKey(key)
  const isDeletion = isDeletionAt(slab.view, offset)
  link(history, slot, offset, text, findKey(history.index, text), isDeletion, revision, sub)
  history.sizeBytes += changeCost(key.length, value.length)
}

function link(
  history: History,
  slot: number,
  offset: number,
  key: string,
  keyId: number,
  isDeletion: boolean,
  revision: number,
  sub: number,
): void {
  const id = keyId === NONE ? addKey(history, key) : keyId
  const head = history.heads[id] ?? NONE
  const wasLive = head !== NONE && isLive(history, head)
  history.revisions[slot] = revision
  history.subs[slot] = sub
  history.previous[slot] = head
  history.keyOf[slot] = id
  history.slabOf[slot] = history.slabs.current
  history.offsetOf[slot] = offset
  history.state[slot] = isDeletion ? IN_USE | DELETION : IN_USE
  history.heads[id] = slot
  history.liveKeys += (isDeletion ? 0 : 1) - (wasLive ? 1 : 0)
  pushSlot(history.log, slot)
}

function addKey(history: History, key: string): number {
  const id = history.freeKeys.pop() ?? history.keys.length
  history.keys[id] = key
  history.heads[id] = NONE
  insertKey(history.index, key, id)
  return id
}

function takeSlot(history: History): number {
  const slot = history.freeSlot
  if (slot !== NONE) {
    history.freeSlot = previousOf(history, slot)
    return slot
  }
  if (history.slotCount === history.state.length) grow(history)
  history.slotCount += 1
  return history.slotCount - 1
}

function grow(history: History): void {
  const length = history.state.length * 2
  history.revisions = copyInto(new Float64Array(length), history.revisions)
  history.subs = copyInto(new Uint32Array(length), history.subs)
  history.previous = copyInto(new Int32Array(length), history.previous)
  history.keyOf = copyInto(new Uint32Array(length), history.keyOf)
  history.slabOf = copyInto(new Uint32Array(length), history.slabOf)
  history.offsetOf = copyInto(new Uint32Array(length), history.offsetOf)
  history.state = copyInto(new Uint8Array(length), history.state)
}

function copyInto<T extends { set(from: ArrayLike<number>): void }>(
  into: T,
  from: ArrayLike<number>,
): T {
  into.set(from)
  return into
}

/** Forgets what a compaction at `revision` forgets. */
export function compactHistory(history: History, revision: number): void {
  const { log } = history
  const until = findRevision(log, revision + 1, history.revisions)
  const deletions: number[] = []
  for (let place = log.first; place < until; place += 1) {
    const slot = log.slots[place] ?? 0
    const before = previousOf(history, slot)
    if (before !== NONE && revisionOf(history, before) < revision) {
      freeChange(history, before)
      history.previous[slot] = NONE
    }
    if (!isLive(history, slot) && revisionOf(history, slot) < revision) deletions.push(slot)
  }
  for (const slot of deletions)
    if (((history.state[slot] ?? 0) & IN_USE) !== 0) dropDeletion(history, slot)
  dropBefore(log, findRevision(log, revision, history.revisions))
  for (const index of sparseSlabs(history.slabs)) evacuate(history, index)
}

/** A deletion that is older than the compaction: the key is unknown, or begins with its next change. */
function dropDeletion(history: History, slot: number): void {
  const id = history.keyOf[slot] ?? 0
  let next = history.heads[id] ?? NONE
  if (next === slot) {
    removeKey(history.index, keyTextOf(history, slot))
    history.keys[id] = undefined
    history.heads[id] = NONE
    history.freeKeys.push(id)
  } else {
    while (previousOf(history, next) !== slot) next = previousOf(history, next)
    history.previous[next] = NONE
  }
  freeChange(history, slot)
}

function freeChange(history: History, slot: number): void {
  const slab = slabOfSlot(history, slot)
  const offset = offsetOfSlot(history, slot)
  const { key, value } = readRecord(slab.bytes, slab.view, offset, sizeAt(slab, offset), 0)
  history.sizeBytes -= changeCost(key.length, value.length)
  if (((history.state[slot] ?? 0) & UNSAVED) === 0)
    history.removed.push(revisionOf(history, slot), history.subs[slot] ?? 0)
  release(history.slabs, history.slabOf[slot] ?? 0, offset)
  history.state[slot] = 0
  history.previous[slot] = history.freeSlot
  history.freeSlot = slot
}

/** Moves what is left in a slab to the current one; the last record to leave drops the slab. */
function evacuate(history: History, index: number): void {
  const from = slabAt(history.slabs, index)
  eachRecord(from, (slot, offset) => {
    const isOwner = history.slabOf[slot] === index && history.offsetOf[slot] === offset
    if (!isOwner || ((history.state[slot] ?? 0) & IN_USE) === 0) return
    const size = sizeAt(from, offset)
    const target = reserve(history.slabs, slot, size)
    const into = slabAt(history.slabs, history.slabs.current)
    into.bytes.set(from.bytes.subarray(offset, offset + size), target)
    history.slabOf[slot] = history.slabs.current
    history.offsetOf[slot] = target
    release(history.slabs, index, offset)
  })
}

/** Whether the image lacks the change; asking settles it. */
export function takeUnsaved(history: History, slot: number): boolean {
  const state = history.state[slot] ?? 0
  history.state[slot] = state & ~UNSAVED
  return (state & UNSAVED) !== 0
}

export function isInUse(history: History, slot: number): boolean {
  return ((history.state[slot] ?? 0) & IN_USE) !== 0
}

/** The bytes of a change as the image keeps them. */
export function payloadOf(history: History, slot: number): Uint8Array {
  const slab = slabOfSlot(history, slot)
  const offset = offsetOfSlot(history, slot)
  return slab.bytes.subarray(offset, offset + sizeAt(slab, offset))
}

/** A deletion record has the key alone. */
export function deletionOf(key: string): RecordFields {
  return { ...EMPTY_DELETION, key: fromKey(key) }
}

const EMPTY_DELETION = {
  value: fromKey(''),
  isDeletion: true,
  createRevision: 0,
  version: 0,
  lease: 0n,
} as const
