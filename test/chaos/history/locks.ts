/**
 * Locks under session leases, and writes guarded by the lock's create revision. A lease alone promises
 * nothing about writes, so nothing of the kind is asked: a holder that is late must merely write nothing.
 * Checked: guarded writes come in the order of their fences, none after another one has the lock or after
 * its own release, none is lost; and while a holder is within its deadline nobody else is within theirs,
 * and the lock is there (L2 as a holder sees it).
 */
import type { Finding, Hold, KvRequest, KvResponse, Operation, Round, Step } from './types.ts'

type LockUse = {
  readonly op: Operation
  readonly response: KvResponse
  readonly lock: string
  readonly request: KvRequest
}
/** A use that carried the fence it got when it took the lock. */
type Fenced = LockUse & { readonly fence: number }

export function checkLocks({
  operations,
  holds,
}: Pick<Round, 'operations' | 'holds'>): readonly Finding[] {
  const uses = operations.flatMap(useOf)
  const locks = new Set([...uses.map(({ lock }) => lock), ...holds.map(({ lock }) => lock)])
  return [...locks].flatMap((lock) => {
    const mine = uses.filter((use) => use.lock === lock)
    const believed = holds.filter((hold) => hold.lock === lock)
    return [
      ...checkOverlaps(believed),
      ...checkFences(mine),
      ...checkCounter(operations, mine),
      ...checkRefusals(mine, believed),
    ]
  })
}

/** What a transaction does with a lock is told by its only condition, on the lock's create revision. */
function useOf(op: Operation): readonly LockUse[] {
  const { request, outcome } = op
  if (request.kind !== 'kv' || outcome.kind !== 'ok' || outcome.response.kind !== 'kv') return []
  const condition = request.compare[0]
  if (condition?.target !== 'create') return []
  return [{ op, request, response: outcome.response, lock: condition.key }]
}

function fenceOf({ request }: LockUse): number {
  const condition = request.compare[0]
  return condition?.target === 'create' ? condition.than : 0
}

const isAcquisition = (use: LockUse): boolean => fenceOf(use) === 0
const isRelease = ({ request, lock }: LockUse): boolean =>
  request.success.some((step) => step.kind === 'delete' && step.key === lock)
const counterOf = ({ request }: LockUse): (Step & { readonly kind: 'put' }) | undefined =>
  request.success.find((step) => step.kind === 'put')

/** Who learnt of the lock only after the deadline has believed in it for no time at all. */
function checkOverlaps(all: readonly Hold[]): Finding[] {
  const findings: Finding[] = []
  const holds = all.filter(({ fromUs, untilUs }) => untilUs > fromUs)
  let last: Hold | undefined
  for (const hold of holds.toSorted((a, b) => a.fromUs - b.fromUs)) {
    if (last && hold.fromUs < last.untilUs && hold.createRevision !== last.createRevision) {
      const text = `${hold.lock}: ${hold.client} had it ${last.untilUs - hold.fromUs} µs before ${last.client} was past its deadline`
      findings.push({ rule: 'lock-overlap', text, operations: [] })
    }
    if (!last || hold.untilUs > last.untilUs) last = hold
  }
  return findings
}

/** A guarded write lies between the acquisition it names and the next acquisition or its own release. */
function checkFences(uses: readonly LockUse[]): Finding[] {
  const won = uses.filter(({ response }) => response.succeeded)
  const acquired = won.filter(isAcquisition).map(({ response }) => response.revision)
  const released = new Map(
    won.filter(isRelease).map((use) => [fenceOf(use), use.response.revision]),
  )
  const writes = guardedWrites(won)
  const findings: Finding[] = []
  const starts = acquired.toSorted((a, b) => a - b)
  let last: Fenced | undefined
  for (const write of writes) {
    const { op, fence, lock } = write
    const { revision } = write.response
    const usurper = starts.find((start) => start > fence && start < revision)
    const end = released.get(fence)
    const note = (rule: string, text: string, others: readonly number[] = []): void =>
      void findings.push({ rule, text: `${lock}: ${text}`, operations: [...others, op.id] })
    if (fence >= revision) note('fence-future', `a write at ${revision} has the fence ${fence}`)
    if (last && fence < last.fence)
      note('guarded-by-two', `fence ${fence} wrote after ${last.fence} had`, [last.op.id])
    else if (usurper !== undefined)
      note('guarded-by-two', `fence ${fence} wrote at ${revision}, and ${usurper} had the lock`)
    if (end !== undefined && end < revision)
      note('guarded-after-release', `fence ${fence} wrote at ${revision}, released at ${end}`)
    if (!last || fence >= last.fence) last = write
  }
  return findings
}

function guardedWrites(won: readonly LockUse[]): readonly Fenced[] {
  return won
    .filter((use) => !isAcquisition(use) && counterOf(use) !== undefined)
    .map((use) => ({ ...use, fence: fenceOf(use) }))
    .toSorted((a, b) => a.response.revision - b.response.revision)
}

/** Each guarded write read the counter as the one before it left it. */
function checkCounter(operations: readonly Operation[], uses: readonly LockUse[]): Finding[] {
  const unanswered = new Set(
    operations.flatMap(({ outcome, request }) =>
      outcome.kind === 'unknown' && request.kind === 'kv'
        ? request.success.flatMap((step) => (step.kind === 'put' ? [step.value] : []))
        : [],
    ),
  )
  const findings: Finding[] = []
  let before: Fenced | undefined
  for (const write of guardedWrites(uses.filter(({ response }) => response.succeeded))) {
    const got = write.response.results.find((result) => result.kind === 'got')
    const read = got?.kvs[0]
    const expected = before && counterOf(before)?.value
    const isLater = (read?.mod ?? 0) > (before?.response.revision ?? 0)
    const isFine = read?.value === expected || (isLater && unanswered.has(read?.value ?? ''))
    if (got && !isFine) {
      const text = `${write.lock}: the counter was ${read?.value ?? 'not there'}, and ${expected ?? 'nothing'} had been written last`
      const operations = before ? [before.op.id, write.op.id] : [write.op.id]
      findings.push({ rule: 'guarded-lost', text, operations })
    }
    before = write
  }
  return findings
}

/** A holder within its deadline is not refused, and a refusal is true. */
function checkRefusals(uses: readonly LockUse[], holds: readonly Hold[]): Finding[] {
  const byFence = new Map(holds.map((hold) => [hold.createRevision, hold]))
  return uses.flatMap((use) => {
    const { op, response, lock } = use
    if (response.succeeded) return []
    const fence = fenceOf(use)
    const findings: Finding[] = []
    const got = response.results.find((result) => result.kind === 'got')
    if (got && (got.kvs[0]?.create ?? 0) === fence) {
      const text = `${lock}: refused at ${response.revision} for a condition that held`
      findings.push({ rule: 'lock-torn', text, operations: [op.id] })
    }
    const hold = fence > 0 ? byFence.get(fence) : undefined
    if (hold && op.completedUs < hold.untilUs) {
      const text = `${lock}: ${hold.client} was refused ${hold.untilUs - op.completedUs} µs before its deadline`
      findings.push({ rule: 'lock-lost-early', text, operations: [op.id] })
    }
    return findings
  })
}
