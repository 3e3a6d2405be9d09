/** What a store holds, and the writes that all commands are made of. */
import { assert } from '../../lib/assert.ts'
import { NO_BYTES, fromKey, toKey, toKeyRange } from './bytes.ts'
import type { KeyRange } from './bytes.ts'
import { NONE, append, createHistory, deletionOf, keyTextOf } from './history.ts'
import { leaseOfSlot, liveSlot, readSlot, slotAt } from './history.ts'
import type { History } from './history.ts'
import { eachKey, findKey } from './key-index.ts'
import { LEASE_COST_BYTES, attach, createLeases, detach } from './leases.ts'
import type { Leases } from './leases.ts'
import type { DeleteRangeRequest, DeleteRangeResponse, KvLimits } from './types.ts'
import type { KeyValue, PutRequest, PutResponse } from './types.ts'

export type Alarm = { readonly member: bigint; readonly alarm: number }

export type KvState = {
  readonly limits: KvLimits
  readonly history: History
  readonly leases: Leases
  alarms: readonly Alarm[]
  quotaBytes: number
  revision: number
  compactRevision: number
  /** Changes that the command in progress has made: they share the revision after `revision`. */
  changes: number
  /** Alarms as the image has them, and what else of it is out of date. */
  savedAlarms: readonly Alarm[]
  isHeadSaved: boolean
  isQuotaSaved: boolean
}

/** The revision of an empty store, so that 0 can mean "none". */
const FIRST_REVISION = 1

export function createState(limits: KvLimits): KvState {
  return {
    limits,
    history: createHistory(),
    leases: createLeases(),
    alarms: [],
    quotaBytes: limits.quotaBytes,
    revision: FIRST_REVISION,
    compactRevision: 0,
    changes: 0,
    savedAlarms: [],
    isHeadSaved: false,
    isQuotaSaved: true,
  }
}

export function sizeOf({ history, leases }: KvState): number {
  return history.sizeBytes + leases.byId.size * LEASE_COST_BYTES
}

/** Ends a command, or a part of one that has a revision of its own. */
export function commitChanges(state: KvState): void {
  if (state.changes === 0) return
  state.revision += 1
  state.changes = 0
  state.isHeadSaved = false
}

/** The slots of the keys in a range, in order of key, now or at a revision. */
export function slotsIn(state: KvState, range: KeyRange, revision: number | undefined): number[] {
  const { history } = state
  const slots: number[] = []
  const visit = (id: number): void => {
    const slot = revision === undefined ? liveSlot(history, id) : slotAt(history, id, revision)
    if (slot !== NONE) slots.push(slot)
  }
  if (range.isPoint) {
    const id = findKey(history.index, range.start)
    if (id !== NONE) visit(id)
  } else eachKey(history.index, range.start, range.end, visit)
  return slots
}

/** The slot of a key now, or NONE. */
export function findLive(state: KvState, key: Uint8Array): number {
  const id = findKey(state.history.index, toKey(key))
  return id === NONE ? NONE : liveSlot(state.history, id)
}

/** Puts; that a lease exists and a key that is to keep something is there was checked before. */
export function putKey(state: KvState, request: PutRequest): PutResponse {
  const { history, leases } = state
  const text = toKey(request.key)
  const id = findKey(history.index, text)
  const slot = id === NONE ? NONE : liveSlot(history, id)
  const before: KeyValue | undefined = slot === NONE ? undefined : readSlot(history, slot)
  assert(before || !(request.ignoreValue || request.ignoreLease), 'a put keeps what is not there')
  const lease = request.ignoreLease ? (before?.lease ?? 0n) : request.lease
  const fields = {
    key: request.key,
    value: request.ignoreValue ? (before?.value ?? NO_BYTES) : request.value,
    isDeletion: false,
    createRevision: before?.createRevision ?? state.revision + 1,
    version: (before?.version ?? 0) + 1,
    lease,
  }
  const added = append(history, text, id, fields, state.revision + 1, state.changes)
  state.changes += 1
  if (before && before.lease !== lease) detach(leases, before.lease, id)
  if (lease !== before?.lease) attach(leases, lease, history.keyOf[added] ?? NONE)
  return request.prevKv && before ? { prevKv: before } : {}
}

export function deleteKeys(state: KvState, request: DeleteRangeRequest): DeleteRangeResponse {
  const slots = slotsIn(state, toKeyRange(request.key, request.rangeEnd), undefined)
  const prevKvs = request.prevKv ? slots.map((slot) => readSlot(state.history, slot)) : []
  for (const slot of slots) deleteSlot(state, slot)
  return { deleted: slots.length, prevKvs }
}

/** Deletes the key whose value now is at the slot. */
export function deleteSlot(state: KvState, slot: number): void {
  const { history, leases } = state
  const key = keyTextOf(history, slot)
  const id = history.keyOf[slot] ?? NONE
  detach(leases, leaseOfSlot(history, slot), id)
  append(history, key, id, deletionOf(key), state.revision + 1, state.changes)
  state.changes += 1
}

/** The keys of a lease, in order. */
export function keysOfLease(state: KvState, id: bigint): readonly string[] {
  const ids = state.leases.byId.get(id)?.keyIds ?? []
  return [...ids].map((keyId) => state.history.keys[keyId] ?? '').toSorted(compareText)
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export function keyBytes(keys: readonly string[]): readonly Uint8Array[] {
  return keys.map(fromKey)
}
