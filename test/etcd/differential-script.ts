/**
 * Random scripts for two servers that should answer alike: a small space of keys, leases and revisions,
 * and all the inputs at the edges. A script is plain data and says everything in relation to where the
 * store stands when it starts, so it can be run again, and made smaller.
 */
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  WatchCreateRequest,
} from '../../proto/gen/rpc.ts'
import type { Init } from '../../proto/wire.ts'

/**
 * Revisions in a script: 0 and negative ones go out as they are, positive ones count from the start of
 * the script, and this one stands for what was compacted before.
 */
export const OLD = 999_983

export type TxnStep = {
  readonly compare: readonly Init<Compare>[]
  readonly success: readonly Init<RequestOp>[]
  readonly failure: readonly Init<RequestOp>[]
}

export type Step =
  | { readonly kind: 'put'; readonly request: Init<PutRequest> }
  | { readonly kind: 'range'; readonly request: Init<RangeRequest> }
  | { readonly kind: 'delete'; readonly request: Init<DeleteRangeRequest> }
  | { readonly kind: 'txn'; readonly request: TxnStep }
  | { readonly kind: 'compact'; readonly revision: number; readonly physical: boolean }
  | { readonly kind: 'grant'; readonly id: bigint; readonly ttl: number; readonly revoke: boolean }
  | { readonly kind: 'revoke'; readonly id: bigint }
  | { readonly kind: 'keep-alive'; readonly id: bigint }
  | { readonly kind: 'time-to-live'; readonly id: bigint; readonly keys: boolean }
  | { readonly kind: 'leases' }
  | { readonly kind: 'watch'; readonly request: Init<WatchCreateRequest> }
  | { readonly kind: 'cancel'; readonly watchId: number }
  | { readonly kind: 'progress' }

export type Script = readonly Step[]

/** A generator of numbers in [0, 1) that a seed decides (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

type Dice = {
  chance(share: number): boolean
  int(least: number, most: number): number
  of<T>(choices: readonly T[]): T
  list<T>(most: number, make: () => T): T[]
}

function diceOf(float: () => number): Dice {
  const int = (least: number, most: number): number =>
    least + Math.floor(float() * (most - least + 1))
  return {
    int,
    chance: (share) => float() < share,
    of: (choices) => choices[int(0, choices.length - 1)] as (typeof choices)[number],
    list: (most, make) => Array.from({ length: int(0, most) }, make),
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const KEYS = ['a', 'b', 'c', 'ab', '\0', '\xff']
const VALUES = ['', 'x', 'y', 'longer than the others', '\0\xff']
const ENDS = ['\0', 'a', 'b', 'c', 'ac', 'z', '\xff', 'a\0']
/** The last two are never granted. */
const LEASES = [7_001n, 7_002n, 0x7fff_ffff_ffff_ffffn, 9_999n, -3n]

/** The script of a seed, `length` steps long. */
export function scriptOf(seed: number, length: number): Script {
  const dice = diceOf(randomFrom(seed))
  return Array.from({ length }, (_, at) => stepOf(dice, at))
}

const WEIGHTS: readonly (readonly [number, Step['kind']])[] = [
  [28, 'put'],
  [20, 'range'],
  [8, 'delete'],
  [18, 'txn'],
  [3, 'compact'],
  [5, 'grant'],
  [3, 'revoke'],
  [2, 'keep-alive'],
  [2, 'time-to-live'],
  [1, 'leases'],
  [7, 'watch'],
  [2, 'cancel'],
  [1, 'progress'],
]
const KINDS = WEIGHTS.flatMap(([weight, kind]) => Array.from({ length: weight }, () => kind))

function stepOf(dice: Dice, at: number): Step {
  const kind = dice.of(KINDS)
  switch (kind) {
    case 'put':
      return { kind, request: putOf(dice) }
    case 'range':
      return { kind, request: rangeOf(dice, at) }
    case 'delete':
      return { kind, request: deleteOf(dice) }
    case 'txn':
      return { kind, request: dice.chance(0.04) ? hugeTxn(dice) : txnOf(dice, at, 2) }
    case 'compact':
      return { kind, revision: revisionOf(dice, at, 0.1), physical: dice.chance(0.5) }
    case 'grant':
      return grantOf(dice)
    case 'revoke':
    case 'keep-alive':
      return { kind, id: leaseOf(dice, 0.05) }
    case 'time-to-live':
      return { kind, id: leaseOf(dice, 0.05), keys: dice.chance(0.5) }
    case 'watch':
      return { kind, request: watchOf(dice, at) }
    case 'cancel':
      return { kind, watchId: dice.of([1, 2, 3, 501, 77]) }
    case 'leases':
    case 'progress':
      return { kind }
  }
}

const keyOf = (dice: Dice): Uint8Array => bytes(dice.chance(0.03) ? '' : dice.of(KEYS))
const endOf = (dice: Dice, share: number): Uint8Array =>
  bytes(dice.chance(share) ? dice.of(ENDS) : '')
const leaseOf = (dice: Dice, none: number): bigint => (dice.chance(none) ? 0n : dice.of(LEASES))

function revisionOf(dice: Dice, at: number, none: number): number {
  if (dice.chance(none)) return 0
  return dice.chance(0.15) ? dice.of([-1, OLD, at + 50]) : dice.int(1, Math.max(1, at))
}

function putOf(dice: Dice): Init<PutRequest> {
  const ignoreValue = dice.chance(0.08)
  const ignoreLease = dice.chance(0.08)
  return {
    key: keyOf(dice),
    value: bytes(ignoreValue && dice.chance(0.7) ? '' : dice.of(VALUES)),
    lease: ignoreLease && dice.chance(0.7) ? 0n : leaseOf(dice, 0.75),
    prevKv: dice.chance(0.4),
    ignoreValue,
    ignoreLease,
  }
}

function rangeOf(dice: Dice, at: number): Init<RangeRequest> {
  const bound = (): number => revisionOf(dice, at, 0.85)
  // Nothing unknown: etcd 3.4 passes over such an order and dies of such a target, later ones refuse.
  const [sortOrder, sortTarget] = [dice.int(0, 2), dice.int(0, 4)]
  // Without an order etcd cuts before it sorts; ours always sorts first, as the API has it.
  const isCutFirst = sortOrder === 0 && sortTarget !== 0
  const limit = dice.chance(0.6) ? 0 : dice.of([1, 2, 3, 100, -1])
  return {
    key: keyOf(dice),
    rangeEnd: endOf(dice, 0.65),
    limit: isCutFirst ? 0 : limit,
    revision: revisionOf(dice, at, 0.7),
    sortOrder,
    sortTarget,
    serializable: dice.chance(0.2),
    keysOnly: dice.chance(0.15),
    countOnly: dice.chance(0.1),
    minModRevision: bound(),
    maxModRevision: bound(),
    minCreateRevision: bound(),
    maxCreateRevision: bound(),
  }
}

function deleteOf(dice: Dice): Init<DeleteRangeRequest> {
  return { key: keyOf(dice), rangeEnd: endOf(dice, 0.3), prevKv: dice.chance(0.5) }
}

function txnOf(dice: Dice, at: number, depth: number): TxnStep {
  const op = (): Init<RequestOp> => opOf(dice, at, depth)
  return {
    compare: dice.list(2, () => compareOf(dice, at)),
    success: dice.list(3, op),
    failure: dice.list(3, op),
  }
}

function opOf(dice: Dice, at: number, depth: number): Init<RequestOp> {
  const kind = dice.int(0, 99)
  if (kind < 1) return {}
  if (kind < 40) return { requestPut: putOf(dice) }
  if (kind < 70) return { requestRange: rangeOf(dice, at) }
  if (kind < 85 || depth === 0) return { requestDeleteRange: deleteInTxn(dice) }
  return { requestTxn: txnOf(dice, at, depth - 1) }
}

/** Bounded: etcd does not see that a range without an end overlaps a put of the same transaction. */
function deleteInTxn(dice: Dice): Init<DeleteRangeRequest> {
  const request = deleteOf(dice)
  const isEndless = Buffer.from(request.rangeEnd ?? []).equals(bytes('\0'))
  return isEndless ? { ...request, rangeEnd: bytes('z') } : request
}

function compareOf(dice: Dice, at: number): Init<Compare> {
  const target = dice.int(0, 4)
  const common = {
    key: keyOf(dice),
    rangeEnd: endOf(dice, 0.25),
    result: dice.int(0, 3),
    target,
  }
  // The operand may be missing, or that of another target.
  switch (dice.chance(0.04) ? dice.int(0, 5) : target) {
    case 0:
      return { ...common, version: dice.int(0, 3) }
    case 1:
      return { ...common, createRevision: revisionOf(dice, at, 0.4) }
    case 2:
      return { ...common, modRevision: revisionOf(dice, at, 0.3) }
    case 3:
      return { ...common, value: bytes(dice.of(VALUES)) }
    case 4:
      return { ...common, lease: leaseOf(dice, 0.5) }
    default:
      return common
  }
}

/** Transactions on both sides of the limit of 128 operations, flat and nested. */
function hugeTxn(dice: Dice): TxnStep {
  const count = dice.of([128, 129])
  const reads = (many: number): Init<RequestOp>[] =>
    Array.from({ length: many }, () => ({ requestRange: { key: bytes('a'), countOnly: true } }))
  if (dice.chance(0.5)) return { compare: [], success: reads(count), failure: [] }
  const inner = { compare: [], success: reads(dice.of([100, 127])), failure: [] }
  const many = dice.of([1, 2, 28, 29])
  return {
    compare: [],
    success: [...reads(many), { requestTxn: inner }],
    failure: dice.chance(0.3) ? [{ requestTxn: inner }, { requestTxn: inner }] : [],
  }
}

/** Long TTLs do not run out while a script runs; short ones are revoked at once. */
function grantOf(dice: Dice): Step {
  const isShort = dice.chance(0.25)
  const ttl = isShort ? dice.of([0, -1, 1, 2, 5, 9_000_000_001]) : dice.int(500, 600)
  return {
    kind: 'grant',
    id: dice.chance(0.1) ? 0n : dice.of(LEASES.slice(0, 3)),
    ttl,
    revoke: isShort,
  }
}

function watchOf(dice: Dice, at: number): Init<WatchCreateRequest> {
  return {
    key: keyOf(dice),
    rangeEnd: endOf(dice, 0.7),
    // No negative one: etcd 3.4 takes it for 0, later ones refuse.
    startRevision: Math.max(0, revisionOf(dice, at, 0.5)),
    progressNotify: dice.chance(0.1),
    filters: [0, 1].filter(() => dice.chance(0.15)),
    prevKv: dice.chance(0.5),
    // Far from those that a server chooses: etcd 3.4 keeps an id of its own taken after compaction ended it.
    watchId: dice.chance(0.2) ? dice.of([501, 502, 503]) : 0,
    fragment: dice.chance(0.1),
  }
}
