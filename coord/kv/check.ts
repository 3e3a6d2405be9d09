/** What is wrong with a request whatever the store holds. The order of the checks is the one clients know. */
import { isInRange, toKey, toKeyRange } from './bytes.ts'
import type { KeyRange } from './bytes.ts'
import { LEASE_TTL_MAX } from './leases.ts'
import type {
  DeleteRangeRequest,
  KvCommand,
  KvErrorCode,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from './types.ts'

const SORT_ORDER_MAX = 2
const SORT_TARGET_MAX = 4

export function checkCommand(command: KvCommand, txnOpsMax: number): KvErrorCode | undefined {
  switch (command.kind) {
    case 'put':
      return checkPut(command.request)
    case 'delete-range':
      return checkDeleteRange(command.request)
    case 'txn':
      return checkTxn(command.request, txnOpsMax)
    case 'lease-grant':
      return command.request.ttl > LEASE_TTL_MAX ? 'lease-ttl-too-large' : undefined
    case 'compact':
    case 'lease-revoke':
    case 'lease-expire':
    case 'alarm':
    case 'quota':
      return undefined
  }
}

export function checkRange(request: RangeRequest): KvErrorCode | undefined {
  if (request.key.length === 0) return 'empty-key'
  const { sortOrder, sortTarget } = request
  const isKnown =
    sortOrder >= 0 &&
    sortOrder <= SORT_ORDER_MAX &&
    sortTarget >= 0 &&
    sortTarget <= SORT_TARGET_MAX
  return isKnown ? undefined : 'invalid-sort-option'
}

function checkPut(request: PutRequest): KvErrorCode | undefined {
  if (request.key.length === 0) return 'empty-key'
  if (request.ignoreValue && request.value.length > 0) return 'value-provided'
  if (request.ignoreLease && request.lease !== 0n) return 'lease-provided'
  return undefined
}

function checkDeleteRange(request: DeleteRangeRequest): KvErrorCode | undefined {
  return request.key.length === 0 ? 'empty-key' : undefined
}

/** Every operation by itself first, then all of them together: in that order etcd looks at them. */
export function checkTxn(request: TxnRequest, opsMax: number): KvErrorCode | undefined {
  const error = checkTxnOps(request, opsMax)
  if (error) return error
  const isClear = collectWrites(request.success) && collectWrites(request.failure)
  return isClear ? undefined : 'duplicate-key'
}

/** A nested transaction has what its parent's longest list leaves of the budget. */
function checkTxnOps(request: TxnRequest, opsMax: number): KvErrorCode | undefined {
  const { compare, success, failure } = request
  const longest = Math.max(compare.length, success.length, failure.length)
  if (longest > opsMax) return 'too-many-operations'
  if (compare.some(({ key }) => key.length === 0)) return 'empty-key'
  for (const op of [...success, ...failure]) {
    const error = checkOp(op, opsMax - longest)
    if (error) return error
  }
  return undefined
}

function checkOp(op: RequestOp, opsMax: number): KvErrorCode | undefined {
  if (op.requestRange) return checkRange(op.requestRange)
  if (op.requestPut) return checkPut(op.requestPut)
  if (op.requestDeleteRange) return checkDeleteRange(op.requestDeleteRange)
  if (op.requestTxn) return checkTxnOps(op.requestTxn, opsMax)
  return 'key-not-found'
}

type Writes = { readonly puts: ReadonlySet<string>; readonly deletes: readonly KeyRange[] }

/**
 * The keys that a list of operations may put and the ranges it may delete, nested ones included;
 * undefined if a key may be put twice, or put inside a range that is deleted before.
 */
function collectWrites(ops: readonly RequestOp[]): Writes | undefined {
  const puts = new Set<string>()
  const deletes = ops.flatMap(({ requestDeleteRange: request }) =>
    request ? [toKeyRange(request.key, request.rangeEnd)] : [],
  )
  const isTaken = (key: string): boolean =>
    puts.has(key) || deletes.some((range) => isInRange(key, range))
  for (const { requestTxn } of ops) {
    if (!requestTxn) continue
    const either = [collectWrites(requestTxn.success), collectWrites(requestTxn.failure)]
    const nested = new Set(either.flatMap((writes) => [...(writes?.puts ?? [])]))
    if (either.includes(undefined) || [...nested].some(isTaken)) return undefined
    for (const key of nested) puts.add(key)
    for (const writes of either) deletes.push(...(writes?.deletes ?? []))
  }
  for (const { requestPut } of ops) {
    if (!requestPut) continue
    const key = toKey(requestPut.key)
    if (isTaken(key)) return undefined
    puts.add(key)
  }
  return { puts, deletes }
}
