/**
 * What a worker does about the difference between what it should hold and what it holds. Pure.
 *
 * Invariants: a unit is claimed only while nobody is known to hold it; it is released only after its
 * work has ended (the driver sees to that); what is being given up is not taken again before it is gone;
 * no claim of this worker is left without either its work or an end.
 */
import type { ClusterView, UnitName } from '../../lease/coordination.ts'

export type Holding = 'held' | 'giving-up'

export type Reconciliation = {
  readonly claim: readonly UnitName[]
  readonly giveUp: readonly UnitName[]
  /** Assigned here, but another worker still holds them. */
  readonly waiting: readonly UnitName[]
}

export function reconcile(
  worker: string,
  view: Pick<ClusterView, 'assignments' | 'claims'>,
  holdings: ReadonlyMap<UnitName, Holding>,
  isLeaving: boolean,
): Reconciliation {
  const claim: UnitName[] = []
  const waiting: UnitName[] = []
  if (!isLeaving)
    view.assignments.forEach((to, unit) => {
      if (to !== worker || holdings.has(unit)) return
      const holder = view.claims.get(unit)
      if (holder === undefined || holder === worker) claim.push(unit)
      else waiting.push(unit)
    })
  const giveUp: UnitName[] = []
  for (const [unit, holding] of holdings) {
    if (holding === 'held' && (isLeaving || view.assignments.get(unit) !== worker))
      giveUp.push(unit)
  }
  // A claim whose answer was lost: nobody works on it, and nobody else may have it.
  for (const [unit, holder] of view.claims) {
    const isStray = holder === worker && !holdings.has(unit)
    if (isStray && (isLeaving || view.assignments.get(unit) !== worker)) giveUp.push(unit)
  }
  return { claim, giveUp, waiting }
}
