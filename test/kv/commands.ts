/** Random commands over few keys and leases, so that they meet; and answers in a form that compares. */
import fc from 'fast-check'
import type { Compare, DeleteRangeRequest, KeyValue, KvCommand } from '../../coord/kv/types.ts'
import type { KvEvent, KvOutcome, KvResponse, PutRequest } from '../../coord/kv/types.ts'
import type { RangeRequest, RangeResponse, RequestOp } from '../../coord/kv/types.ts'
import type { ResponseOp, TxnRequest, TxnResponse } from '../../coord/kv/types.ts'
import { text } from './model.ts'
import type { Entry } from './model.ts'

export const LIMITS = { txnOpsMax: 128, leaseTtlMin: 2, quotaBytes: 2 ** 31 }

export const bytes = (value: string): Uint8Array => Buffer.from(value, 'latin1')

const key = fc.constantFrom('a', 'b', 'aa', 'ab', 'b\0', 'c', '\0', '\xff', '\xff\xff').map(bytes)
const value = fc.oneof(
  fc.constantFrom('', '1', '2', '3').map(bytes),
  fc.uint8Array({ minLength: 0, maxLength: 40 }),
)
const lease = fc.constantFrom(0n, 0n, 0n, 1n, 2n, -3n)
const rangeEnd = fc.constantFrom('', '', '\0', 'b', 'c', 'ac', '\xff').map(bytes)
/** Absolute, but small enough to be met; 0 stands for now. */
export const revision = fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 1, max: 40 }))

export const putRequest: fc.Arbitrary<PutRequest> = fc
  .record({
    key,
    value,
    lease,
    prevKv: fc.boolean(),
    keeps: fc.constantFrom('', '', '', 'value', 'lease', 'both'),
  })
  .map(({ keeps, ...put }) => {
    const [ignoreValue, ignoreLease] = [/value|both/.test(keeps), /lease|both/.test(keeps)]
    return {
      ...put,
      ignoreValue,
      ignoreLease,
      value: ignoreValue ? bytes('') : put.value,
      lease: ignoreLease ? 0n : put.lease,
    }
  })

/** Mostly no bound, and one that does not cut everything off. */
const bound = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 30 }) },
)

export const watchedRange = fc.record({ key, rangeEnd })

export const rangeRequest: fc.Arbitrary<RangeRequest> = fc.record({
  key,
  rangeEnd,
  revision,
  limit: fc.constantFrom(0, 0, 1, 2, 3),
  sortOrder: fc.constantFrom(0, 1, 2),
  sortTarget: fc.constantFrom(0, 1, 2, 3, 4),
  serializable: fc.boolean(),
  keysOnly: fc.boolean(),
  countOnly: fc.constantFrom(false, false, false, true),
  minModRevision: bound,
  maxModRevision: bound,
  minCreateRevision: bound,
  maxCreateRevision: bound,
})

const deleteRequest: fc.Arbitrary<DeleteRangeRequest> = fc.record({
  key,
  rangeEnd,
  prevKv: fc.boolean(),
})

const compare: fc.Arbitrary<Compare> = fc.record({
  result: fc.constantFrom(0, 1, 2, 3),
  target: fc.constantFrom(0, 1, 2, 3, 4),
  key,
  rangeEnd,
  lease,
  value,
  version: fc.nat(3),
  createRevision: fc.nat(20),
  modRevision: fc.nat(20),
})

const leafOp: fc.Arbitrary<RequestOp> = fc.oneof(
  putRequest.map((requestPut) => ({ requestPut })),
  deleteRequest.map((requestDeleteRange) => ({ requestDeleteRange })),
  rangeRequest.map((requestRange) => ({ requestRange })),
)

function txnOver(op: fc.Arbitrary<RequestOp>): fc.Arbitrary<TxnRequest> {
  return fc.record({
    compare: fc.array(compare, { maxLength: 2 }),
    success: fc.array(op, { maxLength: 4 }),
    failure: fc.array(op, { maxLength: 3 }),
  })
}

export const txnRequest = txnOver(
  fc.oneof(
    { weight: 4, arbitrary: leafOp },
    { weight: 1, arbitrary: txnOver(leafOp).map((requestTxn) => ({ requestTxn })) },
  ),
)

const command = <K extends KvCommand['kind'], R>(
  kind: K,
  request: fc.Arbitrary<R>,
): fc.Arbitrary<{ kind: K; request: R }> => fc.record({ kind: fc.constant(kind), request })

const leaseId = fc.constantFrom(1n, 2n, -3n)

export const kvCommand: fc.Arbitrary<KvCommand> = fc.oneof(
  { weight: 14, arbitrary: command('put', putRequest) },
  { weight: 3, arbitrary: command('delete-range', deleteRequest) },
  { weight: 5, arbitrary: command('txn', txnRequest) },
  {
    weight: 2,
    arbitrary: command('compact', fc.record({ revision: fc.nat(40), physical: fc.boolean() })),
  },
  {
    weight: 3,
    arbitrary: command(
      'lease-grant',
      fc.record({ id: leaseId, ttl: fc.integer({ min: -1, max: 9 }) }),
    ),
  },
  { weight: 1, arbitrary: command('lease-revoke', fc.record({ id: leaseId })) },
  {
    weight: 1,
    arbitrary: command(
      'lease-expire',
      fc.record({
        leases: fc.array(fc.record({ id: leaseId, grantIndex: fc.nat(12) }), { maxLength: 3 }),
      }),
    ),
  },
)

/** As long as asked for: the default size of an array would hardly reach ten. */
export function scriptOf<T>(item: fc.Arbitrary<T>, maxLength = 60): fc.Arbitrary<T[]> {
  return fc.array(item, { minLength: 1, maxLength, size: 'max' })
}

export function toEntry(kv: KeyValue): Entry {
  return {
    key: text(kv.key),
    value: text(kv.value),
    create: kv.createRevision,
    mod: kv.modRevision,
    version: kv.version,
    lease: kv.lease,
  }
}

export function plainRange({ kvs, more, count }: RangeResponse): unknown {
  return { kvs: kvs.map(toEntry), more, count }
}

/** An outcome as the model words it. */
export function plainOutcome(outcome: KvOutcome<KvResponse>): unknown {
  return outcome.ok ? { value: plainResponse(outcome.value) } : { error: outcome.error }
}

function plainResponse(response: KvResponse): unknown {
  switch (response.kind) {
    case 'put':
      return plainOp({ responsePut: response.response })
    case 'delete-range':
      return plainOp({ responseDeleteRange: response.response })
    case 'txn':
      return plainTxn(response.response)
    case 'lease-grant':
      return response.response
    case 'lease-expire':
      return response.expired
    case 'compact':
    case 'lease-revoke':
    case 'alarm':
    case 'quota':
      return undefined
  }
}

export function plainTxn({ succeeded, responses }: TxnResponse): unknown {
  return { succeeded, responses: responses.map(plainOp) }
}

function plainOp(op: ResponseOp): unknown {
  if (op.responseTxn) return plainTxn(op.responseTxn)
  if (op.responseRange) return plainRange(op.responseRange)
  if (op.responsePut) {
    const { prevKv } = op.responsePut
    return { prevKv: prevKv && toEntry(prevKv) }
  }
  const { deleted, prevKvs } = op.responseDeleteRange ?? { deleted: 0, prevKvs: [] }
  return { deleted, prevKvs: prevKvs.map(toEntry) }
}

export function plainEvent({ type, kv, prevKv }: KvEvent): unknown {
  return {
    type: type === 0 ? 'put' : 'delete',
    revision: kv.modRevision,
    entry: toEntry(kv),
    before: prevKv && toEntry(prevKv),
  }
}
