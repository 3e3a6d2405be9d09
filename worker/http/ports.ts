/** What the HTTP API needs of the worker that it is a part of. */
import type { Catalog } from '../../catalog/catalog.ts'
import type { TokenScope } from '../../catalog/cluster.ts'
import type { ClusterView } from '../../lease/coordination.ts'
import type { Clock, Logger } from '../../lib/ports.ts'
import type { SessionState } from '../metrics.ts'

export type ApiPorts = {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly logger: Logger
  readonly authorize: Authorize
  /** What the worker knows of itself, without asking anybody. */
  status(): ApiStatus
  /** Asks each coordinator; one that does not answer is no failure. */
  coordinators(signal: AbortSignal): Promise<readonly CoordinatorStatus[]>
  /** The text format of Prometheus. */
  renderMetrics(): string
  /** After each answer but streams; `route` is a pattern of the table, or "other". */
  readonly onRequest?: (route: string, status: number, durationMs: number) => void
}

export type ApiStatus = {
  readonly worker: string
  readonly version: string
  readonly startedAt: number
  /** Why it is not ready, in words; empty: it is. */
  readonly notReady: readonly string[]
  readonly session: SessionState
  /** Who holds the planner's office; null: nobody, or not known. */
  readonly planner: string | null
  /** As the coordinator showed it last; undefined: it never did. */
  readonly view: ClusterView | undefined
}

export type CoordinatorStatus = {
  readonly endpoint: string
  readonly isReachable: boolean
  readonly isLeader: boolean
  readonly version: string | null
  readonly error: string | null
}

/** Who asks, or why they may not. */
export type Verdict =
  | { readonly kind: 'allowed'; readonly name: string; readonly scope: TokenScope }
  | { readonly kind: 'refused'; readonly reason: 'missing' | 'unknown' | 'expired' }

/** `token` as the request carried it; undefined: it carried none. */
export type Authorize = (token: string | undefined) => Promise<Verdict>
