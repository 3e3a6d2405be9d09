/**
 * Transactions. First all compares, nested ones included, are held against the state as it was; that
 * gives the path of branches taken. Then everything on the path is checked, and only then written: a
 * transaction is refused as a whole or done as a whole, and the same on every member.
 */
import { unreachable } from '../../lib/assert.ts'
import { toKeyRange } from './bytes.ts'
import { NONE, changeCost, readSlot } from './history.ts'
import { checkReadable, readRange } from './range.ts'
import { deleteKeys, findLive, putKey, slotsIn } from './state.ts'
import type { KvState } from './state.ts'
import { COMPARE_RESULT, COMPARE_TARGET } from './types.ts'
import type { Compare, KeyValue, KvErrorCode, PutRequest, RequestOp } from './types.ts'
import type { ResponseOp, TxnRequest, TxnResponse } from './types.ts'

/** A transaction whose branches are decided. */
export type TxnPath = {
  readonly succeeded: boolean
  readonly ops: readonly { readonly op: RequestOp; readonly nested: TxnPath | undefined }[]
}

export function decideTxn(state: KvState, request: TxnRequest): TxnPath {
  const succeeded = request.compare.every((compare) => holds(state, compare))
  const ops = (succeeded ? request.success : request.failure).map((op) => ({
    op,
    nested: op.requestTxn && decideTxn(state, op.requestTxn),
  }))
  return { succeeded, ops }
}

/** What stands against the operations on the path; puts are looked at before reads. */
export function checkPath(state: KvState, path: TxnPath): KvErrorCode | undefined {
  return (
    findError(path, ({ requestPut }) => requestPut && checkPutNow(state, requestPut)) ??
    findError(
      path,
      ({ requestRange }) =>
        requestRange &&
        (checkReadable(state, requestRange.revision) ??
          checkNegative(state, requestRange.revision)),
    )
  )
}

/** Before anything is compacted -1 is "now" like 0; below, or after, etcd takes it for the past. */
function checkNegative(state: KvState, revision: number): KvErrorCode | undefined {
  const first = state.compactRevision === 0 ? -1 : state.compactRevision
  return revision < 0 && revision < first ? 'compacted' : undefined
}

function findError(
  path: TxnPath,
  check: (op: RequestOp) => KvErrorCode | undefined,
): KvErrorCode | undefined {
  for (const { op, nested } of path.ops) {
    const error = nested ? findError(nested, check) : check(op)
    if (error) return error
  }
  return undefined
}

/** What stands against a put in the present state. */
export function checkPutNow(state: KvState, request: PutRequest): KvErrorCode | undefined {
  if ((request.ignoreValue || request.ignoreLease) && findLive(state, request.key) === NONE)
    return 'key-not-found'
  return checkLease(state, request)
}

export function checkLease({ leases }: KvState, { lease }: PutRequest): KvErrorCode | undefined {
  return lease === 0n || leases.byId.has(lease) ? undefined : 'lease-not-found'
}

export function runTxn(state: KvState, path: TxnPath): TxnResponse {
  return {
    succeeded: path.succeeded,
    responses: path.ops.map(({ op, nested }) => runOp(state, op, nested)),
  }
}

function runOp(state: KvState, op: RequestOp, nested: TxnPath | undefined): ResponseOp {
  if (nested) return { responseTxn: runTxn(state, nested) }
  if (op.requestPut) return { responsePut: putKey(state, op.requestPut) }
  if (op.requestRange) return { responseRange: readRange(state, op.requestRange) }
  if (op.requestDeleteRange)
    return { responseDeleteRange: deleteKeys(state, op.requestDeleteRange) }
  return unreachable(op as never)
}

export function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(
    (op) => op.requestRange ?? (op.requestTxn && isReadOnly(op.requestTxn)),
  )
}

/** What the dearer branch of a transaction may take of the quota; 0 for one that puts nothing. */
export function txnCost({ success, failure }: TxnRequest): number {
  return Math.max(sumCost(success), sumCost(failure))
}

function sumCost(ops: readonly RequestOp[]): number {
  return ops.reduce(
    (sum, { requestPut, requestTxn }) =>
      sum + (requestPut ? putCost(requestPut) : requestTxn ? txnCost(requestTxn) : 0),
    0,
  )
}

export function putCost({ key, value }: PutRequest): number {
  return changeCost(key.length, value.length)
}

const MISSING: KeyValue = {
  key: Buffer.alloc(0),
  createRevision: 0,
  modRevision: 0,
  version: 0,
  value: Buffer.alloc(0),
  lease: 0n,
}

/** A missing key compares as zeros, but it has no value that anything could be compared with. */
function holds(state: KvState, compare: Compare): boolean {
  const slots = slotsIn(state, toKeyRange(compare.key, compare.rangeEnd), undefined)
  if (slots.length === 0)
    return compare.target !== COMPARE_TARGET.value && holdsFor(compare, MISSING)
  return slots.every((slot) => holdsFor(compare, readSlot(state.history, slot)))
}

function holdsFor(compare: Compare, kv: KeyValue): boolean {
  const order = orderOf(compare, kv)
  if (compare.result === COMPARE_RESULT.equal) return order === 0
  if (compare.result === COMPARE_RESULT.notEqual) return order !== 0
  if (compare.result === COMPARE_RESULT.greater) return order > 0
  return compare.result !== COMPARE_RESULT.less || order < 0
}

function orderOf(compare: Compare, kv: KeyValue): number {
  const { target } = compare
  if (target === COMPARE_TARGET.version) return kv.version - (compare.version ?? 0)
  if (target === COMPARE_TARGET.create) return kv.createRevision - (compare.createRevision ?? 0)
  if (target === COMPARE_TARGET.mod) return kv.modRevision - (compare.modRevision ?? 0)
  if (target === COMPARE_TARGET.value)
    return Buffer.compare(kv.value, compare.value ?? MISSING.value)
  if (target !== COMPARE_TARGET.lease) return 0
  const lease = compare.lease ?? 0n
  return kv.lease === lease ? 0 : kv.lease > lease ? 1 : -1
}
