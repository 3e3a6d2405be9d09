/**
 * The port of the client: what `lease/`, `hakiri ctl` and the benches ask of a coordinator, ours or a
 * real etcd. A write is sent once: if its outcome is unknown the error says so and nothing is retried.
 */
import type { Event, KeyValue } from '../../proto/gen/kv.ts'
import type {
  Compare,
  DeleteRangeResponse,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnResponse,
} from '../../proto/gen/rpc.ts'

/** Why a call failed; `outcome` tells whether a write can have landed. */
export class CoordError extends Error {
  override readonly name = 'CoordError'
  /** The gRPC status number and its text as the server sent it, e.g. "etcdserver: no leader". */
  readonly status: number
  readonly outcome: 'failed' | 'unknown'
  constructor(
    status: number,
    message: string,
    outcome: 'failed' | 'unknown',
    details: { readonly cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.status = status
    this.outcome = outcome
  }
}

export type ClientTls = {
  readonly ca?: Uint8Array
  readonly cert?: Uint8Array
  readonly key?: Uint8Array
}

export type ClientConfig = {
  /** host:port, or http(s)://host:port. */
  readonly endpoints: readonly string[]
  readonly tls?: ClientTls
  /** How long one attempt may take; a call's own signal may end it earlier. */
  readonly attemptMs: number
  /** How long a read may be tried on other endpoints. */
  readonly readMs: number
}

export type CallOptions = { readonly signal?: AbortSignal; readonly timeoutMs?: number }

export type Revisioned<T> = T & { readonly revision: number }

/**
 * A watch that survives reconnects: every revision once, in order, or an end that says why. The loop
 * over it ends when it is disposed of or its signal fires, and throws when the server refuses it.
 */
export type Watcher = AsyncDisposable &
  AsyncIterable<WatchBatch> & {
    /** Resolves with the store's revision at its creation: without a start, events after it are seen. */
    readonly created: Promise<number>
  }
export type WatchBatch =
  | { readonly kind: 'events'; readonly revision: number; readonly events: readonly Event[] }
  | { readonly kind: 'progress'; readonly revision: number }
  /** The wanted revisions are gone; read anew and watch from there. The watch ends after this. */
  | { readonly kind: 'compacted'; readonly compactRevision: number }

export type WatchOptions = {
  readonly rangeEnd?: Uint8Array
  readonly startRevision?: number
  readonly prevKv?: boolean
  readonly progressNotify?: boolean
  readonly signal?: AbortSignal
}

/**
 * A lease kept alive. `lost` aborts at last acknowledged renewal's send time + TTL − margin, at the
 * latest, and on disposal, which also revokes the lease.
 */
export type Session = AsyncDisposable & {
  readonly lease: bigint
  readonly ttlMs: number
  readonly lost: AbortSignal
  /** Monotonic milliseconds until which the lease is certain. */
  certainUntil(): number
}

export type CoordClient = AsyncDisposable & {
  range(
    request: Partial<RangeRequest> & { readonly key: Uint8Array },
    options?: CallOptions,
  ): Promise<
    Revisioned<{
      readonly kvs: readonly KeyValue[]
      readonly count: number
      readonly more: boolean
    }>
  >
  put(
    request: Partial<PutRequest> & { readonly key: Uint8Array },
    options?: CallOptions,
  ): Promise<Revisioned<{ readonly prevKv?: KeyValue }>>
  deleteRange(
    request: {
      readonly key: Uint8Array
      readonly rangeEnd?: Uint8Array
      readonly prevKv?: boolean
    },
    options?: CallOptions,
  ): Promise<Revisioned<DeleteRangeResponse>>
  txn(
    request: {
      readonly compare: readonly Compare[]
      readonly success: readonly RequestOp[]
      readonly failure: readonly RequestOp[]
    },
    options?: CallOptions,
  ): Promise<Revisioned<TxnResponse>>
  compact(revision: number, options?: CallOptions): Promise<Revisioned<unknown>>
  leaseGrant(
    ttlSeconds: number,
    options?: CallOptions & { readonly id?: bigint },
  ): Promise<{ readonly id: bigint; readonly ttl: number }>
  leaseRevoke(id: bigint, options?: CallOptions): Promise<void>
  leaseKeepAliveOnce(id: bigint, options?: CallOptions): Promise<{ readonly ttl: number }>
  leaseTimeToLive(
    id: bigint,
    options?: CallOptions & { readonly keys?: boolean },
  ): Promise<{
    readonly ttl: number
    readonly grantedTtl: number
    readonly keys: readonly Uint8Array[]
  }>
  leases(options?: CallOptions): Promise<readonly bigint[]>
  session(ttlSeconds: number, options?: { readonly signal?: AbortSignal }): Promise<Session>
  watch(key: Uint8Array, options?: WatchOptions): Watcher
}
