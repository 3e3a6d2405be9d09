/**
 * The leader's clock over the leases: who must be revoked when. Pure; the time is the caller's
 * monotonic milliseconds. A lease never comes due earlier than its TTL after the last renewal that
 * was acknowledged, across any change of leader (L4), and always comes due once nobody renews (L5).
 *
 * Being due changes nothing by itself: a lease ends only by the command that revokes it, and until
 * then it can no longer be renewed, so that no renewal is acknowledged and then undone (L6).
 */
import { createDeadlineHeap } from './deadline-heap.ts'
import type { LeaseRecord } from './types.ts'

/** A lease to be revoked, as the log knows it. */
export type DueLease = { readonly id: bigint; readonly grantIndex: number }

export type LessorOptions = {
  /** Leases handed out to be revoked per second, so that a mass expiry does not freeze the log. */
  readonly revokesPerSecondMax?: number
  /** After this a due lease that is still there is handed out again: its proposal was lost. */
  readonly retryMs?: number
}

export type Lessor = {
  /** Whether this member leads and so decides about expiry. */
  readonly isPrimary: boolean
  /** Starts to lead: every lease gets its full TTL and `extendMs`, the election timeout, from now. */
  promote(nowMs: number, leases: Iterable<LeaseRecord>, extendMs: number): void
  demote(): void
  granted(lease: LeaseRecord, nowMs: number): void
  revoked(id: bigint): void
  /** The TTL in seconds that was granted anew; 0 when there is no such lease, or none that can be renewed. */
  renew(id: bigint, nowMs: number): number
  /** Past its deadline but not revoked yet: a renewal has to wait for the revoke, and then answers 0. */
  isExpired(id: bigint, nowMs: number): boolean
  /** Up to `max` leases whose revoke should be proposed now, after the quorum was confirmed. */
  due(nowMs: number, max: number): readonly DueLease[]
  /** Milliseconds left, never negative; undefined when there is no such lease. */
  remainingMs(id: bigint, nowMs: number): number | undefined
  /** All leases, those that expire first in front. */
  byExpiry(): readonly bigint[]
  /** The earliest moment at which `due` may have something; undefined when nothing is timed. */
  nextDueMs(): number | undefined
}

type Timed = {
  readonly record: LeaseRecord
  deadlineMs: number
  /** Where the heap has it; earlier than the deadline after renewals, never later. */
  queuedMs: number
  /** Once handed out it cannot be renewed any more, whatever the clock says. */
  isDoomed: boolean
}

const MS = 1000
const REVOKES_PER_SECOND_MAX = 1000
const RETRY_MS = 1000

export function createLessor(options: LessorOptions = {}): Lessor {
  const rate = options.revokesPerSecondMax ?? REVOKES_PER_SECOND_MAX
  const retryMs = options.retryMs ?? RETRY_MS
  const timed = new Map<bigint, Timed>()
  const queue = createDeadlineHeap<Timed>()
  let isPrimary = false
  let allowance = rate
  let allowanceMs = -Infinity

  const enqueue = (lease: Timed, atMs: number): void => {
    lease.queuedMs = atMs
    queue.push(atMs, lease)
  }
  const add = (record: LeaseRecord, deadlineMs: number): void => {
    const lease = { record, deadlineMs, queuedMs: deadlineMs, isDoomed: false }
    timed.set(record.id, lease)
    enqueue(lease, deadlineMs)
  }
  const refill = (nowMs: number): void => {
    const passed = Math.max(0, nowMs - allowanceMs)
    allowance = Math.min(rate, allowance + (passed * rate) / MS)
    allowanceMs = nowMs
  }
  const clear = (): void => {
    timed.clear()
    queue.clear()
  }
  const isOver = (lease: Timed, nowMs: number): boolean =>
    lease.isDoomed || lease.deadlineMs <= nowMs
  /** The queue keeps what was renewed, replaced or revoked in the meantime; such entries are stale. */
  const isStale = (atMs: number, lease: Timed): boolean =>
    timed.get(lease.record.id) !== lease || lease.queuedMs !== atMs

  return {
    get isPrimary() {
      return isPrimary
    },
    promote(nowMs, leases, extendMs) {
      clear()
      isPrimary = true
      for (const lease of leases) add(lease, nowMs + extendMs + lease.ttl * MS)
    },
    demote() {
      clear()
      isPrimary = false
    },
    granted(lease, nowMs) {
      if (isPrimary) add(lease, nowMs + lease.ttl * MS)
    },
    revoked(id) {
      timed.delete(id)
    },
    renew(id, nowMs) {
      const lease = timed.get(id)
      if (!lease || isOver(lease, nowMs)) return 0
      lease.deadlineMs = Math.max(lease.deadlineMs, nowMs + lease.record.ttl * MS)
      return lease.record.ttl
    },
    isExpired(id, nowMs) {
      const lease = timed.get(id)
      return lease !== undefined && isOver(lease, nowMs)
    },
    due(nowMs, max) {
      refill(nowMs)
      const found: DueLease[] = []
      for (let head = queue.peek(); head && head.atMs <= nowMs; head = queue.peek()) {
        const lease = head.item
        const isUseless = isStale(head.atMs, lease)
        if (!isUseless && isOver(lease, nowMs) && (found.length >= max || allowance < 1)) break
        queue.pop()
        if (isUseless) continue
        if (!isOver(lease, nowMs)) {
          enqueue(lease, lease.deadlineMs)
          continue
        }
        allowance -= 1
        lease.isDoomed = true
        enqueue(lease, nowMs + retryMs)
        found.push({ id: lease.record.id, grantIndex: lease.record.grantIndex })
      }
      return found
    },
    remainingMs(id, nowMs) {
      const lease = timed.get(id)
      return lease && Math.max(0, lease.isDoomed ? 0 : lease.deadlineMs - nowMs)
    },
    byExpiry() {
      return [...timed.values()]
        .toSorted((a, b) => a.deadlineMs - b.deadlineMs || (a.record.id < b.record.id ? -1 : 1))
        .map(({ record }) => record.id)
    },
    nextDueMs() {
      return queue.peek()?.atMs
    },
  }
}
