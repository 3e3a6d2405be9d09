/**
 * A coordinator of one inside this process: the store, its watches and the clock over its leases, with
 * every command applied at once. Nothing is written to disk: it lasts as long as the process.
 * Invariant: a lease ends only by a command, and never before its TTL after the last renewal (L2).
 */
import type { Clock } from '../../lib/ports.ts'
import { createTimer } from '../client/timer.ts'
import { planCompaction, type CompactionPolicy } from '../kv/compaction-policy.ts'
import { createLessor, type Lessor } from '../kv/lessor.ts'
import { createKvStore } from '../kv/store.ts'
import type { Applied, KvCommand, KvLimits, KvStore } from '../kv/types.ts'
import { createWatchHub } from '../kv/watch-hub.ts'
import type { WatchHub } from '../kv/watch-types.ts'

export type Engine = Disposable & {
  readonly store: KvStore
  readonly lessor: Lessor
  readonly hub: WatchHub
  apply(command: KvCommand): Applied
  /** Seconds that the lease has from now on; 0: there is none. */
  renew(lease: bigint): number
  /**
   * Lets the event loop turn when it has not for a while: calls that follow one another without a wire
   * in between would keep everything else from running.
   */
  turn(): Promise<void> | undefined
  /** Aborts with its disposal. */
  readonly ended: AbortSignal
}

export type EngineOptions = {
  readonly limits?: Partial<KvLimits>
  /** How many revisions a watch can go back. */
  readonly revisionsKept?: number
}

const LIMITS: KvLimits = { txnOpsMax: 128, leaseTtlMin: 2, quotaBytes: 64 * 1024 * 1024 }
const REVISIONS_KEPT = 10_000
const REVOKES_AT_ONCE = 1_000
const SLICE_MS = 5

export function createEngine(clock: Clock, options: EngineOptions = {}): Engine {
  const store = createKvStore({ ...LIMITS, ...options.limits })
  const hub = createWatchHub(store)
  const lessor = createLessor()
  lessor.promote(clock.monotonic(), [], 0)
  const ended = new AbortController()
  const policy = policyOf(options.revisionsKept ?? REVISIONS_KEPT)
  let index = 0
  let turnedAt = clock.monotonic()

  const run = (command: KvCommand): Applied => {
    hub.advance()
    const applied = store.apply(command, ++index)
    // What a disk would be told of; there is none.
    store.takeImageChanges()
    noteLeases(store, lessor, command, applied, clock.monotonic())
    hub.advance()
    return applied
  }
  const expire = (): void => {
    const leases = lessor.due(clock.monotonic(), REVOKES_AT_ONCE)
    if (leases.length > 0) run({ kind: 'lease-expire', request: { leases } })
    timer.set(lessor.nextDueMs())
  }
  const timer = createTimer(clock, expire)
  const compact = (): void => {
    const { revision, compactRevision } = store
    const input = { nowMs: clock.monotonic(), revision, compactRevision, samples: [], policy }
    const to = planCompaction(input)
    if (to !== undefined) run({ kind: 'compact', request: { revision: to, physical: false } })
  }
  return {
    store,
    lessor,
    hub,
    ended: ended.signal,
    apply(command) {
      const applied = run(command)
      compact()
      timer.set(lessor.nextDueMs())
      return applied
    },
    renew(lease) {
      const ttl = lessor.renew(lease, clock.monotonic())
      timer.set(lessor.nextDueMs())
      return ttl
    },
    turn() {
      if (clock.monotonic() - turnedAt < SLICE_MS) return undefined
      return clock.sleep(0).then(() => void (turnedAt = clock.monotonic()))
    },
    [Symbol.dispose]() {
      timer.set(undefined)
      ended.abort()
    },
  }
}

function policyOf(revisionsKept: number): CompactionPolicy {
  return { revisionsKept, historyMs: Infinity, revisionsMin: Math.ceil(revisionsKept / 10) }
}

function noteLeases(
  store: KvStore,
  lessor: Lessor,
  command: KvCommand,
  { outcome }: Applied,
  nowMs: number,
): void {
  if (!outcome.ok) return
  if (outcome.value.kind === 'lease-grant') {
    const lease = store.lease(outcome.value.response.id)
    if (lease) lessor.granted(lease, nowMs)
  }
  if (command.kind === 'lease-revoke') lessor.revoked(command.request.id)
  if (outcome.value.kind === 'lease-expire')
    for (const id of outcome.value.expired) lessor.revoked(id)
}
