/**
 * Keeps what this worker holds in step with what is assigned to it: claims, starts the work, and gives up
 * in the order that keeps a unit with one worker: its work ends, then its claim goes.
 */
import type { ClusterView, Membership, UnitName } from '../../lease/coordination.ts'
import type { ServeDeps } from './deps.ts'
import { runLoop } from './loop.ts'
import { createPulse } from './pulse.ts'
import { type Holding, reconcile } from './reconcile.ts'

/** Does the work of units that are held. */
export type Desk = {
  take(units: readonly UnitName[]): void
  giveUp(units: readonly UnitName[]): Promise<void>
}

export type Holdings = {
  ring(): void
  /** Nothing new is claimed, and everything is given back. Resolves when all is. */
  leave(): Promise<void>
  run(signal: AbortSignal): Promise<void>
  readonly count: () => number
}

/** Claims are looked at this often without a change of the view. */
const LOOK_MS = 2_000
/** Changes of the view that come together are met together. */
const GATHER_MS = 20
/** A look over very many units is followed by so many times as long without one. */
const GATHER_REST = 20

export function createHoldings(
  membership: Membership,
  desk: Desk,
  view: () => ClusterView | undefined,
  deps: Pick<ServeDeps, 'clock' | 'random' | 'logger' | 'observer'>,
  onBug: (error: unknown) => void,
): Holdings {
  const { clock, random, logger, observer } = deps
  const pulse = createPulse(clock)
  const holdings = new Map<UnitName, Holding>()
  /** Their work has ended; their claims may go. */
  const ready = new Set<UnitName>()
  /** When another worker's claim of a unit that is assigned here was seen last. */
  const heldByOthers = new Map<UnitName, number>()
  const emptied = Promise.withResolvers<void>()
  let isLeaving = false

  async function step(signal: AbortSignal): Promise<void> {
    const now = view()
    if (!now) return
    const began = clock.monotonic()
    const { claim, giveUp, waiting } = reconcile(membership.name, now, holdings, isLeaving)
    for (const unit of waiting) heldByOthers.set(unit, began)
    const tookMs = clock.monotonic() - began
    for (const unit of giveUp) endWork(unit)
    if (ready.size > 0) await release([...ready], signal)
    if (claim.length > 0) await claimAll(claim, signal)
    await clock.sleep(Math.max(GATHER_MS, GATHER_REST * tookMs), signal)
  }

  async function claimAll(units: readonly UnitName[], signal: AbortSignal): Promise<void> {
    const results = await membership.claim(units, signal)
    const claimed = results.flatMap(({ unit, kind }) => (kind === 'claimed' ? [unit] : []))
    for (const unit of claimed) {
      holdings.set(unit, 'held')
      const since = heldByOthers.get(unit)
      if (since !== undefined) observer.tookOver(clock.monotonic() - since)
      heldByOthers.delete(unit)
    }
    desk.take(claimed)
    observer.claimed(claimed.length)
  }

  function endWork(unit: UnitName): void {
    holdings.set(unit, 'giving-up')
    desk.giveUp([unit]).then(() => {
      ready.add(unit)
      pulse.ring()
    }, onBug)
  }

  async function release(units: readonly UnitName[], signal: AbortSignal): Promise<void> {
    await membership.release(units, signal)
    for (const unit of units) {
      ready.delete(unit)
      holdings.delete(unit)
    }
    observer.released(units.length)
    if (isLeaving && holdings.size === 0) emptied.resolve()
  }

  return {
    ring: () => pulse.ring(),
    async leave() {
      isLeaving = true
      pulse.ring()
      if (holdings.size > 0) await emptied.promise
    },
    run: (signal) =>
      runLoop(
        { name: 'the holdings', pulse, intervalMs: LOOK_MS, clock, random, logger, step },
        signal,
      ),
    count: () => holdings.size,
  }
}
