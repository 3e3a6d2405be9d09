/**
 * Is the history of a key that of a register to which everything happened at one moment between being
 * sent and being answered? A depth-first search for such an order (Wing and Gong 1993, with the memory
 * of Lowe 2017): whatever nobody has to wait for is tried next. A write whose outcome is unknown may
 * happen at any later time or never. Revisions are left aside on purpose. Values are unique per key.
 */
import { search, type Need, type RegisterOp, type Value } from './register-search.ts'
import type { Finding, KvResponse, Operation, Round } from './types.ts'

/** Steps of the search for one key after which it is given up, which counts as a failure. */
export const STEPS_MAX = 1_000_000

export function checkLinearizable(
  { operations }: Pick<Round, 'operations'>,
  stepsMax = STEPS_MAX,
): readonly Finding[] {
  const byKey = Map.groupBy(operations, keyOf)
  return [...byKey].flatMap(([key, ops]) =>
    key === undefined ? [] : checkKey(key, ops.flatMap(toRegisterOp), stepsMax),
  )
}

function checkKey(key: string, ops: readonly RegisterOp[], stepsMax: number): Finding[] {
  const orphan = findOrphan(ops)
  if (orphan) {
    const text = `${key}: a value was read that no write can have put there`
    return [{ rule: 'register-phantom', text, operations: [orphan.id] }]
  }
  const verdict = search(ops, stepsMax)
  switch (verdict.kind) {
    case 'order':
      return []
    case 'none': {
      const text = `${key}: no order explains it; at most ${verdict.placed} of ${ops.length} operations fit, then one of these does not`
      return [{ rule: 'register-order', text, operations: verdict.stuck }]
    }
    case 'undecided': {
      const text = `${key}: undecided after ${stepsMax} steps over ${ops.length} operations`
      return [{ rule: 'register-undecided', text, operations: [] }]
    }
  }
}

/** An operation that found a value which nobody wrote, or only one that was refused. */
function findOrphan(ops: readonly RegisterOp[]): RegisterOp | undefined {
  const written = new Set(ops.map(({ write }) => write))
  return ops.find(
    ({ need, completedUs }) =>
      completedUs < Infinity &&
      need.kind === 'value' &&
      need.value !== null &&
      !written.has(need.value),
  )
}

function keyOf({ request }: Operation): string | undefined {
  if (request.kind !== 'kv' || request.isSerializable) return undefined
  return (request.success[0] ?? request.failure[0])?.key
}

/** The operation on a register; nothing for what has no effect and tells nothing. */
export function toRegisterOp(operation: Operation): readonly RegisterOp[] {
  const { id, invokedUs, request, outcome } = operation
  if (request.kind !== 'kv' || outcome.kind === 'failed') return []
  const step = request.success[0]
  if (outcome.kind === 'unknown') {
    if (step === undefined || step.kind === 'get') return []
    const write = step.kind === 'put' ? step.value : null
    return [{ id, invokedUs, completedUs: Infinity, need: conditionOf(operation), write }]
  }
  if (outcome.kind !== 'ok' || outcome.response.kind !== 'kv') return []
  const { need, write } = seen(operation, outcome.response)
  const { completedUs } = operation
  return [{ id, invokedUs, completedUs, need, ...(write !== undefined && { write }) }]
}

function conditionOf({ request }: Operation): Need {
  const condition = request.kind === 'kv' ? request.compare[0] : undefined
  if (!condition) return { kind: 'any' }
  return { kind: 'value', value: condition.target === 'value' ? condition.than : null }
}

/** What an answered operation found and left. */
function seen(operation: Operation, response: KvResponse): { need: Need; write?: Value } {
  const { request } = operation
  const result = response.results[0]
  if (request.kind !== 'kv' || !result) return { need: { kind: 'any' } }
  if (result.kind === 'got') return { need: refused(operation, response, result.kvs[0]?.value) }
  if (result.kind === 'deleted') {
    if (result.count === 0) return { need: exactly(undefined) }
    const need: Need = result.prevs ? exactly(result.prevs[0]?.value) : { kind: 'something' }
    return { need, write: null }
  }
  const step = request.success[0]
  const write = step?.kind === 'put' ? step.value : null
  if (request.compare.length > 0) return { need: conditionOf(operation), write }
  if (result.prev === undefined) return { need: { kind: 'any' }, write }
  return { need: exactly(result.prev?.value), write }
}

/** What was read; a condition that was refused must not hold for it. */
function refused(operation: Operation, response: KvResponse, value: string | undefined): Need {
  const condition = conditionOf(operation)
  const isHeld = condition.kind === 'value' && condition.value === (value ?? null)
  return isHeld && !response.succeeded ? { kind: 'impossible' } : exactly(value)
}

const exactly = (value: string | undefined): Need => ({ kind: 'value', value: value ?? null })
