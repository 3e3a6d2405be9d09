/** What a client is told when the store refuses: the gRPC status and the exact text that etcd's clients match on. */
import { STATUS } from '../../lib/grpc-status.ts'
import type { KvErrorCode } from './types.ts'

export type Refusal = { readonly code: number; readonly details: string }

const refusal = (code: number, text: string): Refusal => ({ code, details: `etcdserver: ${text}` })
const invalid = (text: string): Refusal => refusal(STATUS.invalidArgument, text)

/** By code of the store. */
export const KV_REFUSALS: Readonly<Record<KvErrorCode, Refusal>> = {
  // The request itself.
  'empty-key': invalid('key is not provided'),
  'key-not-found': invalid('key not found'),
  'value-provided': invalid('value is provided'),
  'lease-provided': invalid('lease is provided'),
  'too-many-operations': invalid('too many operations in txn request'),
  'duplicate-key': invalid('duplicate key given in txn request'),
  'invalid-sort-option': invalid('invalid sort option'),
  // The state of the store.
  compacted: refusal(STATUS.outOfRange, 'mvcc: required revision has been compacted'),
  'future-revision': refusal(STATUS.outOfRange, 'mvcc: required revision is a future revision'),
  'lease-not-found': refusal(STATUS.notFound, 'requested lease not found'),
  'lease-exists': refusal(STATUS.failedPrecondition, 'lease already exists'),
  'lease-ttl-too-large': refusal(STATUS.outOfRange, 'too large lease TTL'),
  'no-space': refusal(STATUS.resourceExhausted, 'mvcc: database space exceeded'),
}
