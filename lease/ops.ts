/** The few comparisons and operations of transactions that leases need, with all defaults filled in. */
import { RANGE_DEFAULTS } from '../coord/client/range-defaults.ts'
import type { Compare, RequestOp } from '../proto/gen/rpc.ts'

const EQUAL = 0
const TARGET = { create: 1, mod: 2, lease: 4 } as const
const NONE = new Uint8Array(0)

/** Holds when the key was created at this revision; 0: when it does not exist. */
export function isCreatedAt(key: Uint8Array, createRevision: number): Compare {
  return { result: EQUAL, target: TARGET.create, key, rangeEnd: NONE, createRevision }
}

/** Holds when the key was written at this revision last. */
export function isWrittenAt(key: Uint8Array, modRevision: number): Compare {
  return { result: EQUAL, target: TARGET.mod, key, rangeEnd: NONE, modRevision }
}

/** Holds when the key exists under this lease. */
export function isUnder(key: Uint8Array, lease: bigint): Compare {
  return { result: EQUAL, target: TARGET.lease, key, rangeEnd: NONE, lease }
}

export function put(key: Uint8Array, value: Uint8Array, lease: bigint): RequestOp {
  const flags = { prevKv: false, ignoreValue: false, ignoreLease: false }
  return { requestPut: { key, value, lease, ...flags } }
}

export function read(key: Uint8Array): RequestOp {
  return { requestRange: { ...RANGE_DEFAULTS, key } }
}

export function remove(key: Uint8Array): RequestOp {
  return { requestDeleteRange: { key, rangeEnd: NONE, prevKv: false } }
}

/** One decision of its own inside a transaction: when the comparison fails the others still happen. */
export function nested(compare: Compare, success: RequestOp, failure?: RequestOp): RequestOp {
  const otherwise = failure ? [failure] : []
  return { requestTxn: { compare: [compare], success: [success], failure: otherwise } }
}

/** Puts the key unless it exists, and reads who made it if it does. */
export function create(key: Uint8Array, value: Uint8Array, lease: bigint): RequestOp {
  return nested(isCreatedAt(key, 0), put(key, value, lease), read(key))
}
