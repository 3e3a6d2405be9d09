/**
 * The state as records of the durable image. All keys begin with "k", so that others can keep records
 * beside ours; in key order come
 *
 *     ka<member u64><alarm u8>   alarms                  → empty
 *     kh                         the head                → revision f64, compact revision f64
 *     kl<lease u64>              leases                  → ttl f64, grant index f64
 *     kq                         the quota, once set     → bytes f64, 0
 *     kr<revision u64><sub u32>  changes, in their order → the record as it lies in memory
 *
 * Numbers in keys are big endian. Which keys hang on a lease follows from the changes.
 */
import { assert } from '../../lib/assert.ts'
import { NO_BYTES, asBuffer } from './bytes.ts'
import { compactHistory, payloadOf, restore, revisionOf, takeUnsaved } from './history.ts'
import { leaseOfSlot, liveSlot } from './history.ts'
import { attach } from './leases.ts'
import type { KvState } from './state.ts'
import type { ImageChange } from './types.ts'

const PREFIX = 0x6b
const ALARM = 0x61
const HEAD = 0x68
const LEASE = 0x6c
const QUOTA = 0x71
const CHANGE = 0x72

const TWO_TO_32 = 2 ** 32

/** What the image lacks, or has too much. Every key comes once. */
export function takeChanges(state: KvState): readonly ImageChange[] {
  const changes: ImageChange[] = []
  takeHistory(state, changes)
  for (const id of state.leases.unsaved) {
    const lease = state.leases.byId.get(id)
    changes.push({ key: leaseKey(id), value: lease && pair(lease.ttl, lease.grantIndex) })
  }
  state.leases.unsaved.clear()
  takeAlarms(state, changes)
  if (!state.isHeadSaved) changes.push(headChange(state))
  state.isHeadSaved = true
  if (!state.isQuotaSaved) changes.push(quotaChange(state))
  state.isQuotaSaved = true
  return changes
}

function takeHistory({ history }: KvState, changes: ImageChange[]): void {
  const { removed, unsaved } = history
  for (let i = 0; i < removed.length; i += 2)
    changes.push({ key: changeKey(removed[i] ?? 0, removed[i + 1] ?? 0), value: undefined })
  for (const slot of unsaved) {
    if (!takeUnsaved(history, slot)) continue
    const key = changeKey(revisionOf(history, slot), history.subs[slot] ?? 0)
    changes.push({ key, value: payloadOf(history, slot) })
  }
  history.removed = []
  history.unsaved = []
}

function takeAlarms(state: KvState, changes: ImageChange[]): void {
  const { alarms, savedAlarms } = state
  if (alarms === savedAlarms) return
  for (const { member, alarm } of savedAlarms)
    changes.push({ key: alarmKey(member, alarm), value: undefined })
  for (const { member, alarm } of alarms) {
    const key = alarmKey(member, alarm)
    const at = changes.findIndex((change) => Buffer.compare(change.key, key) === 0)
    if (at >= 0) changes.splice(at, 1)
    changes.push({ key, value: NO_BYTES })
  }
  state.savedAlarms = alarms
}

/** Takes one record over; `finishLoading` follows the last. */
export function loadRecord(state: KvState, recordKey: Uint8Array, recordValue: Uint8Array): void {
  if (recordKey[0] !== PREFIX) return
  const key = asBuffer(recordKey)
  const value = asBuffer(recordValue)
  switch (key.readUInt8(1)) {
    case ALARM:
      state.alarms = [...state.alarms, { member: key.readBigUInt64BE(2), alarm: key.readUInt8(10) }]
      return
    case HEAD:
      state.revision = value.readDoubleLE(0)
      state.compactRevision = value.readDoubleLE(8)
      state.isHeadSaved = true
      return
    case QUOTA:
      state.quotaBytes = value.readDoubleLE(0)
      return
    case LEASE: {
      const id = BigInt.asIntN(64, key.readBigUInt64BE(2))
      const [ttl, grantIndex] = [value.readDoubleLE(0), value.readDoubleLE(8)]
      state.leases.byId.set(id, { id, ttl, grantIndex, keyIds: new Set() })
      return
    }
    case CHANGE:
      restore(state.history, value, readU64(key, 2), key.readUInt32BE(10))
      return
    default:
      assert(false, `an image record of unknown kind ${key.readUInt8(1)}`)
  }
}

/** Derives what the records leave out. */
export function finishLoading(state: KvState): void {
  const { history } = state
  state.savedAlarms = state.alarms
  // Nothing to do but in a restored store, whose compaction leapt ahead of what it holds.
  compactHistory(history, state.compactRevision)
  for (let id = 0; id < history.keys.length; id += 1) {
    const slot = liveSlot(history, id)
    if (slot >= 0) attach(state.leases, leaseOfSlot(history, slot), id)
  }
}

/**
 * The record as a store restored from a backup has it: the head leaps ahead by so many revisions and
 * marks all before as compacted, so that no revision comes twice and no watch goes on as if nothing
 * had happened. All other records stay.
 */
export function leapRecord(record: ImageRecord, by: number): ImageRecord {
  const { key, value } = record
  if (key[0] !== PREFIX || key[1] !== HEAD) return record
  const revision = asBuffer(value).readDoubleLE(0) + by
  return { key, value: pair(revision, revision) }
}

type ImageRecord = { readonly key: Uint8Array; readonly value: Uint8Array }

function changeKey(revision: number, sub: number): Uint8Array {
  const key = Buffer.allocUnsafe(14)
  key[0] = PREFIX
  key[1] = CHANGE
  key.writeUInt32BE(Math.floor(revision / TWO_TO_32), 2)
  key.writeUInt32BE(revision % TWO_TO_32, 6)
  key.writeUInt32BE(sub, 10)
  return key
}

function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * TWO_TO_32 + bytes.readUInt32BE(at + 4)
}

function leaseKey(id: bigint): Uint8Array {
  const key = Buffer.from([PREFIX, LEASE, 0, 0, 0, 0, 0, 0, 0, 0])
  key.writeBigUInt64BE(BigInt.asUintN(64, id), 2)
  return key
}

function alarmKey(member: bigint, alarm: number): Uint8Array {
  const key = Buffer.from([PREFIX, ALARM, 0, 0, 0, 0, 0, 0, 0, 0, alarm])
  key.writeBigUInt64BE(BigInt.asUintN(64, member), 2)
  return key
}

function headChange({ revision, compactRevision }: KvState): ImageChange {
  return { key: Buffer.from([PREFIX, HEAD]), value: pair(revision, compactRevision) }
}

function quotaChange({ quotaBytes }: KvState): ImageChange {
  return { key: Buffer.from([PREFIX, QUOTA]), value: pair(quotaBytes, 0) }
}

function pair(first: number, second: number): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes.writeDoubleLE(first, 0)
  bytes.writeDoubleLE(second, 8)
  return bytes
}
