/**
 * Claims of one session. A round trip settles up to sixty, each on its own: a unit that somebody else
 * has does not keep the others from being claimed. Invariant L1: a claim is created only where there is
 * none, and removed only under the lease that made it.
 */
import type { KeyValue } from '../proto/gen/kv.ts'
import type { RequestOp, ResponseOp } from '../proto/gen/rpc.ts'
import type { ClaimResult, UnitName } from './coordination.ts'
import type { Guard } from './guard.ts'
import type { Keys } from './keys.ts'
import { create, isUnder, nested, remove } from './ops.ts'
import { encodeHolder } from './records.ts'

/** A coordinator takes 128 operations, nested ones included: 60 decisions of one operation each. */
const PER_WRITE = 60
const WRITES_AT_ONCE = 4

export type ClaimParts = {
  readonly guard: Guard
  readonly keys: Keys
  readonly worker: string
  readonly lease: bigint
  readonly holderOf: (value: Uint8Array) => string
}

/** Claims what nobody has; tells who has the rest. In the order of `units`. */
export async function claimUnits(
  parts: ClaimParts,
  units: readonly UnitName[],
  signal: AbortSignal,
): Promise<readonly ClaimResult[]> {
  const { keys, worker, lease, holderOf } = parts
  const value = encodeHolder(worker)
  const found = new Map<UnitName, ClaimResult>()
  await inBatches(units, async (batch) => {
    const operations = batch.map((unit) => create(keys.claim(unit), value, lease))
    const { responses } = await parts.guard.write({ doing: 'cannot claim', operations }, signal)
    batch.forEach((unit, at) => {
      const other = otherHolder(responses[at], lease)
      const by = other && holderOf(other.value)
      found.set(unit, by === undefined ? { unit, kind: 'claimed' } : { unit, kind: 'held', by })
    })
  })
  return units.flatMap((unit) => found.get(unit) ?? [])
}

/** Removes claims of this session; those of others stay. */
export async function releaseUnits(
  { guard, keys, lease }: ClaimParts,
  units: readonly UnitName[],
  signal: AbortSignal,
): Promise<void> {
  await inBatches(units, async (batch) => {
    const operations: RequestOp[] = batch.map((unit) => {
      const key = keys.claim(unit)
      return nested(isUnder(key, lease), remove(key))
    })
    await guard.write({ doing: 'cannot release', operations }, signal)
  })
}

/** The key that stood in the way of a `create`; undefined when it is under `lease` now. */
export function otherHolder(response: ResponseOp | undefined, lease: bigint): KeyValue | undefined {
  const kv = response?.responseTxn?.responses[0]?.responseRange?.kvs[0]
  return kv?.lease === lease ? undefined : kv
}

/** Each unit once, a few writes at a time. */
async function inBatches(
  units: readonly UnitName[],
  run: (batch: readonly UnitName[]) => Promise<void>,
): Promise<void> {
  const left = [...new Set(units)]
  const worker = async (): Promise<void> => {
    for (let batch = left.splice(0, PER_WRITE); batch.length > 0; batch = left.splice(0, PER_WRITE))
      await run(batch)
  }
  const settled = await Promise.allSettled(Array.from({ length: WRITES_AT_ONCE }, worker))
  const failed = settled.find((each) => each.status === 'rejected')
  if (failed) throw failed.reason
}
