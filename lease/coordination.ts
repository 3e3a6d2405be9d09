/**
 * The port between a worker and whatever coordinates it: one session, claims under it, assignments, the
 * planner's office. One implementation over Txn, Lease and Watch serves `hakiri coord`, a real etcd and
 * the in-process store; test/conformance/coordination-suite.ts holds all three to this page.
 *
 * Claims and assignments give speed, never safety: whose writes count is decided by the catalog's epoch.
 * Invariants: at most one claim per unit (L1); a claim ends with the session it was made under; a session
 * is given up by its holder before the coordinator can think so (L2).
 */

/**
 * What is claimed, as `pipeline/shard`: a shard, or an office of a pipeline (`~run`) or of a table
 * (`~publish:TABLE`). Names of pipelines hold no slash.
 */
export type UnitName = string

export type WorkerIdentity = {
  /** Unique in the cluster; a restart keeps it. */
  readonly name: string
  /** Of this start. */
  readonly incarnation: string
  /** Tells processes of one machine apart from those of others, e.g. boot id and machine id. */
  readonly machine: string
  readonly pid: number
  /** host:port of the HTTP API. */
  readonly address: string
  readonly slots: number
  /** Units it may hold at the most. */
  readonly unitsMax: number
  readonly labels: { readonly [label: string]: string }
  /** Program version, for people. */
  readonly version: string
  /** Versions of the protocol in the coordinator that it speaks; a cluster uses the newest common one. */
  readonly protocol: { readonly oldest: number; readonly newest: number }
  readonly startedAt: number
}

export type MemberState = 'active' | 'leaving'
export type MemberRecord = WorkerIdentity & { readonly state: MemberState; readonly lease: string }

export type ClaimResult =
  | { readonly unit: UnitName; readonly kind: 'claimed' }
  | { readonly unit: UnitName; readonly kind: 'held'; readonly by: string }

/** Everything under the cluster's prefix, as of one revision. Replaced, never mutated. */
export type ClusterView = {
  readonly revision: number
  readonly members: ReadonlyMap<string, MemberRecord>
  readonly claims: ReadonlyMap<UnitName, string>
  readonly assignments: ReadonlyMap<UnitName, string>
  /** Who holds the planner's office. */
  readonly planner: string | undefined
}

export type Move = {
  readonly unit: UnitName
  /** As the planner saw it; undefined: nobody had it. */
  readonly from: string | undefined
  readonly to: string | undefined
}

/** The office of the planner, held under the session; `lost` fires with the session's or on resignation. */
export type PlannerTerm = AsyncDisposable & {
  readonly lost: AbortSignal
  /** Writes assignments while the term stands; 'deposed' wrote nothing of the rest. */
  publish(moves: readonly Move[], signal: AbortSignal): Promise<'published' | 'deposed'>
}

export type Membership = AsyncDisposable & {
  readonly name: string
  /** Fires once, at the holder's own deadline or when the lease is known to be gone. */
  readonly lost: AbortSignal
  /** Monotonic milliseconds. */
  certainUntil(): number
  /** Create-if-absent under the session; in batches. */
  claim(units: readonly UnitName[], signal: AbortSignal): Promise<readonly ClaimResult[]>
  /** Gives claims back; those of others stay. */
  release(units: readonly UnitName[], signal: AbortSignal): Promise<void>
  /** Resolves when this worker is the planner; rejects with the signal's reason. */
  campaign(signal: AbortSignal): Promise<PlannerTerm>
  /** Tells the planner to expect a clean stop: nothing new is assigned to it. */
  announceLeaving(signal: AbortSignal): Promise<void>
  /** Dispose: gives everything back at once by revoking the session. */
}

export type Coordination = AsyncDisposable & {
  /**
   * Opens a session under the identity's name. A former self on this machine that is dead is replaced at
   * once; another living holder of the name is waited for, as long as its lease can last, and then
   * reported as COORD_REFUSED. Rejects with COORD_UNREACHABLE when no coordinator answers in time.
   */
  join(identity: WorkerIdentity, ttlMs: number, signal: AbortSignal): Promise<Membership>
  /**
   * A live view. `onChange` is called after each change with the newest view, changes that came together
   * at once; it goes on over reconnects and compactions until disposed of.
   */
  watch(
    onChange: (view: ClusterView) => void,
  ): AsyncDisposable & { readonly current: ClusterView | undefined }
  /** One consistent look. */
  view(signal: AbortSignal): Promise<ClusterView>
}
