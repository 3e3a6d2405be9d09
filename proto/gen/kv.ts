/** Codecs of etcd/kv.proto. Generated: change that file and run `npm run generate`. */
import {
  EMPTY,
  decode,
  encode,
  putBigint,
  putBytes,
  putLength,
  putNumber,
  putVarint,
  skip,
  takeBigInt64,
  takeBytes,
  takeInt32,
  takeInt64,
  takeNested,
  takeVarint,
  written,
} from '../wire.ts'
import type {
  Draft,
  Init,
  Reader,
  Writer,
} from '../wire.ts'

/** One version of a key. */
export type KeyValue = {
  readonly key: Uint8Array
  /** Revision at which the key came into being; a deleted key starts anew. */
  readonly createRevision: number
  /** Revision of this version. */
  readonly modRevision: number
  /** Counts the writes since the key came into being, from 1. */
  readonly version: number
  readonly value: Uint8Array
  /** The lease the key lives by; 0 for none. */
  readonly lease: bigint
}

export function writeKeyValue(w: Writer, m: Init<KeyValue>): void {
  if (m.lease) {
    putBigint(w, m.lease)
    putVarint(w, 48)
  }
  if (m.value !== undefined && m.value.length > 0) {
    putBytes(w, m.value)
    putVarint(w, 42)
  }
  if (m.version) {
    putNumber(w, m.version)
    putVarint(w, 32)
  }
  if (m.modRevision) {
    putNumber(w, m.modRevision)
    putVarint(w, 24)
  }
  if (m.createRevision) {
    putNumber(w, m.createRevision)
    putVarint(w, 16)
  }
  if (m.key !== undefined && m.key.length > 0) {
    putBytes(w, m.key)
    putVarint(w, 10)
  }
}

export function readKeyValue(r: Reader): KeyValue {
  const m: Draft<KeyValue> = { key: EMPTY, createRevision: 0, modRevision: 0, version: 0, value: EMPTY, lease: 0n }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 10:
        m.key = takeBytes(r)
        break
      case 16:
        m.createRevision = takeInt64(r)
        break
      case 24:
        m.modRevision = takeInt64(r)
        break
      case 32:
        m.version = takeInt64(r)
        break
      case 42:
        m.value = takeBytes(r)
        break
      case 48:
        m.lease = takeBigInt64(r)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeKeyValue(value: Init<KeyValue>): Buffer {
  return encode(writeKeyValue, value)
}

export function decodeKeyValue(bytes: Uint8Array): KeyValue {
  return decode(readKeyValue, bytes)
}

export const EventType = {
  put: 0,
  delete: 1,
} as const

/** A change of one key. */
export type Event = {
  readonly type: number
  /** After a delete only the key and the revision are filled in. */
  readonly kv?: KeyValue
  /** What the key held before, if the watcher wanted to know. */
  readonly prevKv?: KeyValue
}

export function writeEvent(w: Writer, m: Init<Event>): void {
  if (m.prevKv !== undefined) {
    const before = written(w)
    writeKeyValue(w, m.prevKv)
    putLength(w, before)
    putVarint(w, 26)
  }
  if (m.kv !== undefined) {
    const before = written(w)
    writeKeyValue(w, m.kv)
    putLength(w, before)
    putVarint(w, 18)
  }
  if (m.type) {
    putNumber(w, m.type)
    putVarint(w, 8)
  }
}

export function readEvent(r: Reader): Event {
  const m: Draft<Event> = { type: 0 }
  while (r.at < r.end) {
    const tag = takeVarint(r)
    switch (tag) {
      case 8:
        m.type = takeInt32(r)
        break
      case 18:
        m.kv = takeNested(r, readKeyValue)
        break
      case 26:
        m.prevKv = takeNested(r, readKeyValue)
        break
      default:
        skip(r, tag)
    }
  }
  return m
}

export function encodeEvent(value: Init<Event>): Buffer {
  return encode(writeEvent, value)
}

export function decodeEvent(bytes: Uint8Array): Event {
  return decode(readEvent, bytes)
}
