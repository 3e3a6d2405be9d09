/**
 * L2: a lease never expires earlier than its TTL after the sending of the last renewal that was
 * acknowledged, measured by the clock of the leader that let it expire; and L1: of two clients that
 * may rightly believe to hold one claim there is never more than one at a time.
 */
import type { Birth } from './raft.ts'
import type { LoggedCommand, Truth } from './truth.ts'
import { demand } from './violation.ts'

export type LeaseChecker = {
  /** A grant or renewal that was sent at `sentMs` of true time is acknowledged now. */
  renewed(lease: bigint, ttl: number, sentMs: number): void
  /** A client learns that it holds the claim, with a lease it last renewed as said. */
  claimed(key: string, client: number, lease: bigint): void
  /** The client gives the lease up, before it asks for that. */
  givenUp(lease: bigint): void
  /** A backup is the truth from now on: what was known of leases before says nothing. */
  restored(): void
  /** At the end: every lease that nobody renews has gone. */
  finish(): void
  readonly counts: { renewals: number; expiries: number; claims: number }
}

export type LeaseWorld = {
  readonly truth: Truth
  readonly now: () => number
  /** Milliseconds that the clock of a member went on between two moments of true time. */
  readonly elapsed: (member: bigint, fromMs: number, toMs: number) => number
  readonly birth: (logged: LoggedCommand) => Birth | undefined
  /** Whether beliefs are comparable: with clocks that drift or jump they are not. */
  readonly areClocksTrue: boolean
}

type Renewal = { readonly sentMs: number; readonly ttlMs: number }
type Holder = { readonly client: number; readonly lease: bigint }
type Expiry = { readonly birth: Birth; readonly ttlMs: number }

/** Milliseconds are rounded on their way. */
const SLACK_MS = 2

export function createLeaseChecker(world: LeaseWorld): LeaseChecker {
  const { truth, now, elapsed } = world
  const renewals = new Map<bigint, Renewal>()
  const expiries = new Map<bigint, Expiry>()
  const revokedAt = new Map<bigint, number>()
  const holders = new Map<string, Holder>()
  const over = new Set<bigint>()
  const counts = { renewals: 0, expiries: 0, claims: 0 }

  function inTime(lease: bigint, { sentMs, ttlMs }: Renewal, { birth }: Expiry): void {
    const went = elapsed(birth.member, sentMs, birth.atMs)
    demand(
      went + SLACK_MS >= ttlMs,
      'L2',
      () =>
        `lease ${lease} of ${ttlMs} ms, renewed at ${sentMs.toFixed(0)}, was made to expire by ` +
        `${birth.member} at ${birth.atMs.toFixed(0)}, after ${went.toFixed(0)} ms of its clock`,
    )
  }

  truth.onApplied((logged, record) => {
    const { command } = logged
    if (command?.kind === 'lease-revoke' && record.outcome.kind === 'done')
      revokedAt.set(command.request.id, now())
    if (command?.kind !== 'lease-expire') return
    const birth = world.birth(logged)
    for (const { id } of command.request.leases) {
      const removal = truth.model.removedLease(id).findLast(({ index }) => index === logged.index)
      if (!removal || !birth) continue
      counts.expiries++
      const expiry = { birth, ttlMs: removal.ttl * 1000 }
      expiries.set(id, expiry)
      const renewal = renewals.get(id)
      if (renewal) inTime(id, renewal, expiry)
    }
  })

  const isCertain = ({ lease }: Holder): boolean => {
    const renewal = renewals.get(lease)
    return !over.has(lease) && !!renewal && renewal.sentMs + renewal.ttlMs > now()
  }

  return {
    counts,
    renewed(lease, ttl, sentMs) {
      counts.renewals++
      const renewal = { sentMs, ttlMs: ttl * 1000 }
      const before = renewals.get(lease)
      if (!before || before.sentMs < sentMs) renewals.set(lease, renewal)
      const expiry = expiries.get(lease)
      if (expiry) inTime(lease, renewal, expiry)
      const revoked = revokedAt.get(lease) ?? Infinity
      demand(revoked > sentMs, 'L2', () => `lease ${lease} was renewed after it was revoked`)
    },
    claimed(key, client, lease) {
      // An answer that comes too late gives nothing.
      if (!isCertain({ client, lease })) return
      counts.claims++
      const holder = holders.get(key)
      const isFree = !holder || holder.client === client || !isCertain(holder)
      if (world.areClocksTrue)
        demand(isFree, 'L1', () => `${key}: held by ${holder?.client}, given to ${client}`)
      holders.set(key, { client, lease })
    },
    restored() {
      for (const known of [renewals, expiries, revokedAt, holders]) known.clear()
    },
    givenUp: (lease) => void over.add(lease),
    finish() {
      const left = [...truth.model.leases.keys()]
      demand(left.length === 0, 'L2', () => `leases never expired: ${left.join(', ')}`)
    },
  }
}
