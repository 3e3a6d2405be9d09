/**
 * What a history is made of: operations on a coordinator with when they were sent and answered, what
 * watches saw, and how long holders believed in their locks. Plain data that survives JSON. Invariant:
 * stamps are whole microseconds of one monotonic clock and no two are equal, so that "answered before
 * the other was sent" is a comparison of numbers.
 */

/** A key as the coordinator tells it; the lease is hexadecimal. */
export type Kv = {
  readonly key: string
  readonly value: string
  readonly create: number
  readonly mod: number
  readonly version: number
  readonly lease?: string
}

export type Compare = { readonly key: string; readonly is: '=' | '!=' | '<' | '>' } & (
  | { readonly target: 'create' | 'mod' | 'version'; readonly than: number }
  | { readonly target: 'value'; readonly than: string }
)

/** `end` makes it a range up to that key, which is not in it. A blind one does not ask what was there. */
export type Step =
  | { readonly kind: 'get'; readonly key: string; readonly end?: string }
  | {
      readonly kind: 'put'
      readonly key: string
      readonly value: string
      readonly lease?: string
      readonly isBlind?: true
    }
  | {
      readonly kind: 'delete'
      readonly key: string
      readonly end?: string
      readonly isBlind?: true
    }

/** Everything that reads or writes keys is a transaction; most have no condition and one step. */
export type KvRequest = {
  readonly kind: 'kv'
  readonly compare: readonly Compare[]
  readonly success: readonly Step[]
  readonly failure: readonly Step[]
  /** A read of whatever the asked member has. */
  readonly isSerializable?: true
  /** A read of the past. */
  readonly atRevision?: number
}

export type Request =
  | KvRequest
  | { readonly kind: 'grant'; readonly ttlSeconds: number }
  | { readonly kind: 'renew'; readonly lease: string }
  | { readonly kind: 'revoke'; readonly lease: string }
  | { readonly kind: 'remaining'; readonly lease: string }
  | { readonly kind: 'compact'; readonly revision: number }

export type StepResult =
  | { readonly kind: 'got'; readonly kvs: readonly Kv[] }
  /** What was there before, where it was asked for; null says that there was nothing. */
  | { readonly kind: 'put'; readonly prev?: Kv | null }
  | { readonly kind: 'deleted'; readonly count: number; readonly prevs?: readonly Kv[] }

export type KvResponse = {
  readonly kind: 'kv'
  readonly revision: number
  readonly succeeded: boolean
  readonly results: readonly StepResult[]
}

export type Response =
  | KvResponse
  /** Of a grant, a renewal or a question for what remains; without a lease the TTL is 0 or less. */
  | { readonly kind: 'lease'; readonly lease: string; readonly ttlSeconds: number }
  | { readonly kind: 'done' }

/** A write that `failed` has not landed and never will; one that is `unknown` may have, or may yet. */
export type Outcome =
  | { readonly kind: 'ok'; readonly response: Response }
  | { readonly kind: 'failed' | 'unknown'; readonly why: string }

export type Operation = {
  readonly id: number
  /** Who sent it; a client sends one after the other. */
  readonly client: string
  readonly invokedUs: number
  /** Infinity for one that was never answered. */
  readonly completedUs: number
  readonly request: Request
  readonly outcome: Outcome
}

export type WatchEvent = {
  readonly type: 'put' | 'delete'
  /** Of a delete only the key and the revision count. */
  readonly kv: Kv
  readonly prev?: Kv
}

export type WatchBatch = { readonly atUs: number } & (
  | { readonly kind: 'events'; readonly events: readonly WatchEvent[] }
  | { readonly kind: 'progress'; readonly revision: number }
  | { readonly kind: 'compacted'; readonly compactRevision: number }
)

/** One watch from its start to its end; a watcher that was resumed has several, in order. */
export type WatchPart = {
  readonly watcher: string
  readonly key: string
  readonly end: string
  readonly hasPrev: boolean
  /** The first revision that it must show. */
  readonly from: number
  readonly batches: readonly WatchBatch[]
}

/** The time in which a holder believed in its lock, by the deadline of its session. */
export type Hold = {
  readonly client: string
  readonly lock: string
  readonly createRevision: number
  readonly fromUs: number
  readonly untilUs: number
}

export type RoundKind = 'registers' | 'keys' | 'locks' | 'leases'

/** A part of a history that has keys of its own and is checked by itself. */
export type Round = {
  readonly kind: RoundKind
  readonly number: number
  readonly operations: readonly Operation[]
  readonly watches: readonly WatchPart[]
  readonly holds: readonly Hold[]
  /** Revision of the last write, which every watcher must get to; undefined when the end was not reached. */
  readonly finalRevision?: number
  /** Times in which the cluster was whole: only there something must happen within a bound. */
  readonly calm: readonly { readonly fromUs: number; readonly untilUs: number }[]
}

/** A breach, named by the rule that was broken. */
export type Problem = {
  readonly round: string
  readonly rule: string
  readonly text: string
  /** The operations that show it. */
  readonly operations: readonly number[]
}

/** A problem as a checker finds it, which does not know its round. */
export type Finding = Omit<Problem, 'round'>
