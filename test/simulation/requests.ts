/** Requests as clients write them, with everything that they leave out filled in. */
import type { Compare, KvCommand, RangeRequest, RequestOp } from '../../coord/kv/types.ts'
import { bytesOf } from './checks/model-types.ts'
import { RANGE_DEFAULTS } from '../../coord/client/range-defaults.ts'

const EMPTY = new Uint8Array()

export const rangeOf = (key: string, rest: Partial<RangeRequest> = {}): RangeRequest => ({
  ...RANGE_DEFAULTS,
  key: bytesOf(key),
  ...rest,
})

/** The end of the range of all keys that begin with `prefix`, which ends in an ordinary character. */
export const prefixEnd = (prefix: string): Uint8Array =>
  bytesOf(prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1))

export const putOf = (key: string, value: string, lease = 0n, prevKv = false): RequestOp => ({
  requestPut: {
    key: bytesOf(key),
    value: bytesOf(value),
    lease,
    prevKv,
    ignoreValue: false,
    ignoreLease: false,
  },
})

export const deleteOf = (key: string, rangeEnd: Uint8Array = EMPTY, prevKv = false): RequestOp => ({
  requestDeleteRange: { key: bytesOf(key), rangeEnd, prevKv },
})

export const isAbsent = (key: string): Compare => ({
  result: 0,
  target: 1,
  key: bytesOf(key),
  rangeEnd: EMPTY,
  createRevision: 0,
})

export const isUnchanged = (key: string, modRevision: number): Compare => ({
  result: 0,
  target: 2,
  key: bytesOf(key),
  rangeEnd: EMPTY,
  modRevision,
})

export const txnOf = (
  compare: readonly Compare[],
  success: readonly RequestOp[],
  failure: readonly RequestOp[] = [],
): KvCommand => ({ kind: 'txn', request: { compare, success, failure } })

export const commandOf = (op: RequestOp): KvCommand => {
  if (op.requestPut) return { kind: 'put', request: op.requestPut }
  if (op.requestDeleteRange) return { kind: 'delete-range', request: op.requestDeleteRange }
  return txnOf([], [op])
}
