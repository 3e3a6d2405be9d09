/**
 * The life of a worker in its cluster, from session to session.
 *
 *   joining ── session ──► member ── lost ──► joining ── no coordinator answers ──► alone (still joining)
 *                            └── stop ──► leaving: all is given back, then the session is revoked
 *
 * Invariant: with the session everything that was held under it ends at once (L2); what goes on alone
 * goes on by the catalog's leave.
 */
import type { ClusterView, Membership } from '../../lease/coordination.ts'
import { backoffMs, type Backoff } from '../../lib/backoff.ts'
import { HakiriError, isRetryable } from '../../lib/error.ts'
import type { ServeDeps } from './deps.ts'
import type { Executor } from './executor.ts'
import type { Health } from './health.ts'
import { createHoldings, type Desk, type Holdings } from './holdings.ts'
import type { Offices } from './offices.ts'

export type MemberParts = {
  readonly deps: ServeDeps
  readonly health: Health
  /** The time to leave is up. */
  readonly cutOff: AbortSignal
  readonly desk: Desk
  readonly executor: Executor
  readonly offices: Offices
  readonly view: () => ClusterView | undefined
  readonly onBug: (error: unknown) => void
  /** Plans while it is elected, under this membership. */
  readonly plan: (membership: Membership, signal: AbortSignal) => Promise<void>
}

export type MemberLife = {
  /** The view has changed. */
  ring(): void
  /** Runs until `stop` fires; rejects for what cannot be cured, e.g. a name in use. */
  run(stop: AbortSignal): Promise<void>
  readonly state: () => 'joining' | 'member' | 'alone' | 'leaving'
  readonly held: () => number
}

const PAUSE: Backoff = { retriesMax: Number.MAX_SAFE_INTEGER, firstMs: 100, mostMs: 2_000 }

export function createMemberLife(parts: MemberParts): MemberLife {
  const { deps, health, cutOff, executor, offices } = parts
  const { clock, random, logger, observer, settings } = deps
  let state: ReturnType<MemberLife['state']> = 'joining'
  let holdings: Holdings | undefined

  async function join(stop: AbortSignal): Promise<Membership | undefined> {
    for (let attempt = 1; !stop.aborted; attempt++) {
      try {
        return await deps.coordination.join(deps.identity, settings.ttlMs, stop)
      } catch (error) {
        if (stop.aborted) return undefined
        if (!isRetryable(error)) throw error
        health.isDown('coordinator', (error as HakiriError).message)
        state = 'alone'
        executor.goOnAlone()
        await clock.sleep(backoffMs(PAUSE, attempt, random), stop).catch(() => undefined)
      }
    }
    return undefined
  }

  async function serve(membership: Membership, stop: AbortSignal): Promise<void> {
    await executor.startSession()
    health.isUp('coordinator')
    state = 'member'
    observer.joined()
    logger.log('info', 'this worker is a member', { worker: membership.name })
    const own = createHoldings(membership, parts.desk, parts.view, deps, parts.onBug)
    holdings = own
    const ended = new AbortController()
    const serving = AbortSignal.any([membership.lost, ended.signal])
    const work = Promise.all([
      own.run(serving),
      parts.plan(membership, AbortSignal.any([serving, stop])),
    ])
    try {
      await Promise.race([work, fired(membership.lost), fired(stop)])
      if (stop.aborted && !membership.lost.aborted) await leave(membership, own)
    } finally {
      ended.abort()
      holdings = undefined
      observer.sessionEnded(membership.lost.aborted ? 'lost' : 'left')
      await loseAll()
      await work.catch(() => undefined)
    }
  }

  async function leave(membership: Membership, own: Holdings): Promise<void> {
    state = 'leaving'
    logger.log('info', 'leaving: what is at work ends at its next safe point', {
      held: own.count(),
    })
    try {
      await membership.announceLeaving(cutOff)
      await Promise.race([own.leave(), fired(cutOff), fired(membership.lost)])
    } catch (error) {
      if (!cutOff.aborted && !(error instanceof HakiriError)) throw error
      const reason = error instanceof Error ? error.message : String(error)
      logger.log('warn', `leaving without a goodbye: ${reason}`)
    }
  }

  async function loseAll(): Promise<void> {
    executor.loseSession()
    await offices.giveUpAll()
  }

  return {
    ring: () => holdings?.ring(),
    state: () => state,
    held: () => holdings?.count() ?? 0,
    async run(stop) {
      while (!stop.aborted) {
        const membership = await join(stop)
        if (!membership) return
        await using session = membership
        await serve(session, stop)
        if (stop.aborted) return
        state = 'joining'
        logger.log('warn', 'the session was lost: everything under it was stopped', {
          worker: membership.name,
          why: reasonOf(membership.lost),
        })
      }
    },
  }
}

function reasonOf({ reason }: AbortSignal): string {
  return reason instanceof Error ? reason.message : String(reason)
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
