/**
 * Who should hold what: (workers, units, assignments, policy) → moves. Pure; the same input gives the
 * same plan.
 */

export type PlanWorker = {
  readonly name: string
  /** Shards at a time: its share of the load is slots over all slots. */
  readonly slots: number
  /** Units at the most. */
  readonly unitsMax: number
  readonly labels: { readonly [label: string]: string }
  /**
   * active: may get units. draining: gives back what it has. away: its session ended without a goodbye;
   * it keeps its units until the grace is over.
   */
  readonly state: 'active' | 'draining' | 'away'
}

export type PlanUnit = {
  readonly unit: string
  /** Of measured work; 0: not measured, counts as the mean. */
  readonly weight: number
  readonly placement: { readonly [label: string]: string }
  /** Workers that it failed on. */
  readonly avoid: readonly string[]
  /** Kept from everybody, with the reason. */
  readonly blocked: 'paused' | 'quarantined' | undefined
}

export type PlanPolicy = {
  /** Load may differ from the fair share by this part before a unit is moved for balance. */
  readonly tolerance: number
}

export type PlanInput = {
  readonly workers: readonly PlanWorker[]
  readonly units: readonly PlanUnit[]
  /** unit → worker as published last; names of units or workers that are gone may be in it. */
  readonly assigned: ReadonlyMap<string, string>
  readonly policy: PlanPolicy
}

export type Unassigned =
  | { readonly kind: 'no-worker' }
  | { readonly kind: 'paused' }
  | { readonly kind: 'quarantined' }
  /** No worker that is present carries these labels. */
  | { readonly kind: 'no-match'; readonly placement: { readonly [label: string]: string } }
  /** It failed on every worker that could have it. */
  | { readonly kind: 'failed-everywhere'; readonly workers: readonly string[] }
  /** All that could have it hold as many as they may. */
  | { readonly kind: 'full'; readonly workers: readonly string[] }
  | { readonly kind: 'all-draining'; readonly workers: readonly string[] }

export type PlanMove = {
  readonly unit: string
  readonly from: string | undefined
  readonly to: string | undefined
}

export type Plan = {
  readonly moves: readonly PlanMove[]
  /** unit → worker after the moves. */
  readonly assignments: ReadonlyMap<string, string>
  readonly unassigned: ReadonlyMap<string, Unassigned>
}
