/**
 * The requests and answers of the store, in the shapes of the etcd v3 API with camel-case names, so
 * that decoded messages pass through without being copied. Revisions, versions, TTLs (seconds) and
 * counts are safe integers; lease ids are bigints and 0n means none. Enumerations keep their wire
 * numbers. An optional field that is absent means the wire's default.
 */

export type KeyValue = {
  readonly key: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly value: Uint8Array
  readonly lease: bigint
}

export const EVENT = { put: 0, delete: 1 } as const
export type KvEvent = {
  readonly type: 0 | 1
  readonly kv: KeyValue
  readonly prevKv?: KeyValue
}

export const SORT_ORDER = { none: 0, ascend: 1, descend: 2 } as const
export const SORT_TARGET = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const

export type RangeRequest = {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  readonly limit: number
  readonly revision: number
  readonly sortOrder: number
  readonly sortTarget: number
  readonly serializable: boolean
  readonly keysOnly: boolean
  readonly countOnly: boolean
  readonly minModRevision: number
  readonly maxModRevision: number
  readonly minCreateRevision: number
  readonly maxCreateRevision: number
}
/** Answers carry no header here: the edge adds it from the revision that comes with the answer. */
export type RangeResponse = {
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
  readonly count: number
}

export type PutRequest = {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease: bigint
  readonly prevKv: boolean
  readonly ignoreValue: boolean
  readonly ignoreLease: boolean
}
export type PutResponse = { readonly prevKv?: KeyValue }

export type DeleteRangeRequest = {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  readonly prevKv: boolean
}
export type DeleteRangeResponse = {
  readonly deleted: number
  readonly prevKvs: readonly KeyValue[]
}

export const COMPARE_RESULT = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const
export const COMPARE_TARGET = { version: 0, create: 1, mod: 2, value: 3, lease: 4 } as const
export type Compare = {
  readonly result: number
  readonly target: number
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  readonly version?: number
  readonly createRevision?: number
  readonly modRevision?: number
  readonly value?: Uint8Array
  readonly lease?: bigint
}

/** Exactly one field is set. */
export type RequestOp = {
  readonly requestRange?: RangeRequest
  readonly requestPut?: PutRequest
  readonly requestDeleteRange?: DeleteRangeRequest
  readonly requestTxn?: TxnRequest
}
export type ResponseOp = {
  readonly responseRange?: RangeResponse
  readonly responsePut?: PutResponse
  readonly responseDeleteRange?: DeleteRangeResponse
  readonly responseTxn?: TxnResponse
}
export type TxnRequest = {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}
export type TxnResponse = { readonly succeeded: boolean; readonly responses: readonly ResponseOp[] }

export type CompactionRequest = { readonly revision: number; readonly physical: boolean }

export type LeaseGrantRequest = { readonly ttl: number; readonly id: bigint }
export type LeaseGrantResponse = { readonly id: bigint; readonly ttl: number }
export type LeaseRevokeRequest = { readonly id: bigint }

/** Expiry, proposed by a leader that has just confirmed its quorum. A lease that was granted anew since stays. */
export type LeaseExpireRequest = {
  readonly leases: readonly { readonly id: bigint; readonly grantIndex: number }[]
}

export const ALARM = { none: 0, noSpace: 1, corrupt: 2 } as const
export type AlarmRequest = {
  readonly isActive: boolean
  readonly member: bigint
  readonly alarm: number
}

/** The quota from here on, for every member alike, whatever each was started with. */
export type QuotaRequest = { readonly bytes: number }

/** A command that changes the store; exactly the operations that go through the log. */
export type KvCommand =
  | { readonly kind: 'put'; readonly request: PutRequest }
  | { readonly kind: 'delete-range'; readonly request: DeleteRangeRequest }
  | { readonly kind: 'txn'; readonly request: TxnRequest }
  | { readonly kind: 'compact'; readonly request: CompactionRequest }
  | { readonly kind: 'lease-grant'; readonly request: LeaseGrantRequest }
  | { readonly kind: 'lease-revoke'; readonly request: LeaseRevokeRequest }
  | { readonly kind: 'lease-expire'; readonly request: LeaseExpireRequest }
  | { readonly kind: 'alarm'; readonly request: AlarmRequest }
  | { readonly kind: 'quota'; readonly request: QuotaRequest }

export type KvResponse =
  | { readonly kind: 'put'; readonly response: PutResponse }
  | { readonly kind: 'delete-range'; readonly response: DeleteRangeResponse }
  | { readonly kind: 'txn'; readonly response: TxnResponse }
  | { readonly kind: 'compact' }
  | { readonly kind: 'lease-grant'; readonly response: LeaseGrantResponse }
  | { readonly kind: 'lease-revoke' }
  | { readonly kind: 'lease-expire'; readonly expired: readonly bigint[] }
  | { readonly kind: 'alarm' }
  | { readonly kind: 'quota' }

/** Why the store refuses; the edge has the exact gRPC code and text of each. */
export type KvErrorCode =
  | 'empty-key'
  | 'key-not-found'
  | 'value-provided'
  | 'lease-provided'
  | 'too-many-operations'
  | 'duplicate-key'
  | 'invalid-sort-option'
  | 'compacted'
  | 'future-revision'
  | 'lease-not-found'
  | 'lease-exists'
  | 'lease-ttl-too-large'
  | 'no-space'

export type KvOutcome<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: KvErrorCode }

/** What an applied command answers, and the revision of the store after it. */
export type Applied = {
  readonly revision: number
  readonly outcome: KvOutcome<KvResponse>
}

/** One record of the durable image: an opaque key and value, `undefined` for a record that goes away. */
export type ImageChange = {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

export type LeaseRecord = {
  readonly id: bigint
  /** Seconds, as granted. */
  readonly ttl: number
  /** Log index of the grant: tells a lease from an earlier one with the same id. */
  readonly grantIndex: number
}

export type KvLimits = {
  /** Operations in one branch of a transaction, nested ones included. */
  readonly txnOpsMax: number
  readonly leaseTtlMin: number
  /** The quota until a command sets another: like the rest the same on all members, for it decides in `apply`. */
  readonly quotaBytes: number
}

/**
 * The store: deterministic, in memory, changed only by `apply`. Equal commands in equal order give
 * equal stores (R4), and equal revisions equal hashes (K3).
 */
export type KvStore = {
  readonly revision: number
  /** Reads below this are refused; 0 if nothing was compacted. */
  readonly compactRevision: number
  /** Bytes the store takes: what the quota is held against. */
  readonly sizeBytes: number
  /** Bytes that keys, values and their history may take before puts are refused. */
  readonly quotaBytes: number
  /** Memory that is set aside for keys, values and history. */
  readonly heldBytes: number
  readonly keyCount: number
  readonly alarms: readonly { readonly member: bigint; readonly alarm: number }[]
  /** Applies one command; `index` is its place in the log. */
  apply(command: KvCommand, index: number): Applied
  /** What is wrong with a request whatever the store holds; the edge asks before proposing. */
  check(command: KvCommand): KvErrorCode | undefined
  range(request: RangeRequest): KvOutcome<RangeResponse>
  /** A transaction without writes, evaluated here and now. */
  readTxn(request: TxnRequest): KvOutcome<TxnResponse>
  lease(id: bigint): LeaseRecord | undefined
  leases(): readonly LeaseRecord[]
  leaseKeys(id: bigint): readonly Uint8Array[]
  /** Events of revisions from `from` on, whole revisions only, up to about `bytesMax`; empty when there are none. */
  eventsSince(
    from: number,
    range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
    bytesMax: number,
    withPrevKv?: boolean,
  ): KvOutcome<{ readonly events: readonly KvEvent[]; readonly next: number }>
  /** The keys (latin1) that changed in revisions from `from` on, in order, as far as they are known. */
  visitChanges(from: number, visit: (key: string, revision: number) => void): void
  /** The key as it was at `revision`, if that is still known. */
  keyAt(key: Uint8Array, revision: number): KeyValue | undefined
  /** Hash of keys and history up to `revision` (0: now). */
  hash(revision: number): KvOutcome<{
    readonly hash: number
    readonly compactRevision: number
    readonly hashRevision: number
  }>
  /** What changed since the last call: to be written in one batch with the applied index. */
  takeImageChanges(): readonly ImageChange[]
}
