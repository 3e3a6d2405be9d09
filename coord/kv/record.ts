/**
 * How one change of one key is laid out in bytes; in memory and in the image it is the same bytes, so
 * that an image is written without copying and loaded without decoding. Little endian:
 *
 *     0  u32  1 for a deletion, else 0
 *     4  u32  length of the key
 *     8  f64  create revision      (0 for a deletion)
 *     16 f64  version              (0 for a deletion)
 *     24 i64  lease, 0 for none
 *     32      key, then value
 */
import { NO_BYTES } from './bytes.ts'
import type { KeyValue } from './types.ts'

export const RECORD_HEADER_BYTES = 32

export type RecordFields = {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly isDeletion: boolean
  readonly createRevision: number
  readonly version: number
  readonly lease: bigint
}

export function recordSize(fields: RecordFields): number {
  return RECORD_HEADER_BYTES + fields.key.length + fields.value.length
}

export function writeRecord(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  fields: RecordFields,
): void {
  view.setUint32(offset, fields.isDeletion ? 1 : 0, true)
  view.setUint32(offset + 4, fields.key.length, true)
  view.setFloat64(offset + 8, fields.createRevision, true)
  view.setFloat64(offset + 16, fields.version, true)
  view.setBigInt64(offset + 24, fields.lease, true)
  bytes.set(fields.key, offset + RECORD_HEADER_BYTES)
  bytes.set(fields.value, offset + RECORD_HEADER_BYTES + fields.key.length)
}

export function isDeletionAt(view: DataView, offset: number): boolean {
  return view.getUint32(offset, true) !== 0
}

export function versionAt(view: DataView, offset: number): number {
  return view.getFloat64(offset + 16, true)
}

export function createRevisionAt(view: DataView, offset: number): number {
  return view.getFloat64(offset + 8, true)
}

/** Most keys have no lease: those cost no bigint. */
export function leaseAt(view: DataView, offset: number): bigint {
  const isNone = view.getUint32(offset + 24, true) === 0 && view.getUint32(offset + 28, true) === 0
  return isNone ? 0n : view.getBigInt64(offset + 24, true)
}

/** The record as an answer; key and value are views. */
export function readRecord(
  bytes: Buffer,
  view: DataView,
  offset: number,
  size: number,
  modRevision: number,
): KeyValue {
  const keyStart = offset + RECORD_HEADER_BYTES
  const valueStart = keyStart + view.getUint32(offset + 4, true)
  const end = offset + size
  return {
    key: bytes.subarray(keyStart, valueStart),
    createRevision: createRevisionAt(view, offset),
    modRevision,
    version: versionAt(view, offset),
    value: valueStart === end ? NO_BYTES : bytes.subarray(valueStart, end),
    lease: leaseAt(view, offset),
  }
}
