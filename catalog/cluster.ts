/**
 * What a cluster keeps in the catalog beside shards and tables: the applied manifest, runs that workers
 * share, who is where, limits, tokens. Part of the catalog port (catalog.ts).
 *
 * A run of the cluster is a row with a request; its steward (the holder of the pipeline's `~run` claim)
 * plans it into `run_shard` rows, holders work them off, the steward ends it. A shard of a run is marked
 * done in the same transaction as its last commit, so that nobody reads it again (S3). Writes of a
 * holder that lost its shard, and of a steward that lost its run, change nothing (L3).
 */
import type { Json } from '../lib/json.ts'
import type { RunKind, RunRow, ShardCommit, ShardKey, ShardRow } from './rows.ts'

// ── Manifests ─────────────────────────────────────────────────────────────────────────────────────

export type ManifestVersion = {
  /** 1, 2, 3, … */
  readonly version: number
  /** The typed manifest as JSON; references, never secrets. */
  readonly document: Json
  /** Hash of `document`. */
  readonly hash: string
  readonly appliedAt: number
  /** user@host, or the worker that applied its own file. */
  readonly appliedBy: string
}

// ── Runs ──────────────────────────────────────────────────────────────────────────────────────────

export type RunTrigger = 'schedule' | 'manual'

export type NewClusterRun = {
  readonly pipeline: string
  readonly kind: RunKind
  /** RunRequest of worker/prepare.ts. */
  readonly request: Json
  readonly trigger: RunTrigger
  /** Unique for ever, e.g. "shop@2026-11-26T00:10:00Z"; a start asked for twice happens once. */
  readonly fireKey: string | null
  readonly scheduledAt: number
  /** What happens when a run of the pipeline is not over: the new one is recorded as skipped, or waits. */
  readonly overlap: 'skip' | 'queue'
  readonly manifestVersion: number
  /** Who asked. */
  readonly by: string
}

export type RunAdmission =
  | { readonly kind: 'created'; readonly runId: number }
  /** Another run of the pipeline is not over; a row with status 'skipped' keeps the fire key. */
  | { readonly kind: 'skipped'; readonly runId: number }
  /** The fire key was used before. */
  | { readonly kind: 'known'; readonly runId: number }

/** A run that is not over. */
export type ClusterRun = RunRow & {
  readonly trigger: RunTrigger
  readonly request: Json
  /** Written by the steward; null before. */
  readonly plan: Json
  /** Fencing token of the steward. */
  readonly epoch: number
  readonly scheduledAt: number
  readonly manifestVersion: number
  readonly isCancelled: boolean
}

export type RunShardState =
  /** To be worked on by whoever holds the shard, from `nextAt` on. */
  | 'pending'
  | 'done'
  | 'failed'
  /** Ended by a cancel before it was done. */
  | 'stopped'

export type NewRunShard = { readonly shard: string; readonly table: string }

export type RunShard = ShardKey & {
  readonly runId: number
  readonly table: string
  /** What the connector needs to find the shard. */
  readonly spec: Json
  readonly state: RunShardState
  /** Failed attempts since the last commit. */
  readonly attempts: number
  readonly nextAt: number
  /** Who settled it last. */
  readonly worker: string | null
  readonly error: string | null
  /** Workers on which it failed for good in this run. */
  readonly failedOn: readonly string[]
}

/** How a holder's work on a shard of a run ended, when no commit says it already. */
export type ShardSettlement = ShardKey & {
  readonly runId: number
  /** Of the holder: an older one than the shard's changes nothing. */
  readonly epoch: number
  readonly worker: string
  readonly end:
    /** The source had nothing new, so there was nothing to commit. */
    | { readonly kind: 'done' }
    | {
        readonly kind: 'retry'
        readonly attempts: number
        readonly nextAt: number
        readonly error: string
      }
    /** Failed for good here; stays pending for others, with `worker` in `failedOn`. */
    | { readonly kind: 'elsewhere'; readonly error: string }
    /** Counts as a failed run of the shard; at `quarantineAfter` in a row it is quarantined. */
    | { readonly kind: 'failed'; readonly error: string; readonly quarantineAfter: number }
    | { readonly kind: 'stopped' }
}

export type RunProgress = {
  readonly pending: number
  readonly done: number
  readonly failed: number
  readonly stopped: number
}

// ── Shards, many at a time ────────────────────────────────────────────────────────────────────────

export type ShardAcquisition = ShardKey & {
  readonly generation: number
  /** Raise the epoch only when it is still this one: a holder without a session goes on where it was. */
  readonly ifEpoch?: number
  /** Only while the shard's part of this run is pending: what is done is not read again (S3). */
  readonly ifPendingIn?: number
}

export type GroupOutcome =
  | { readonly kind: 'committed' }
  /** At least these were taken over or moved; nothing of the group was written. */
  | { readonly kind: 'fenced'; readonly shards: readonly ShardKey[] }
  | { readonly kind: 'conflict'; readonly path: string }

// ── Placement ─────────────────────────────────────────────────────────────────────────────────────

/** Where the planner wants a shard, for people: `hakiri shards --why`. */
export type Placement = ShardKey & {
  /** Null: nowhere, and `reason` says why. */
  readonly worker: string | null
  readonly reason: string | null
  readonly since: number
}

export type NewPlacement = Omit<Placement, 'since'>

// ── Workers ───────────────────────────────────────────────────────────────────────────────────────

export type WorkerRow = {
  readonly name: string
  /** host:port of its HTTP API. */
  readonly address: string
  readonly labels: { readonly [label: string]: string }
  readonly slots: number
  readonly version: string
  readonly startedAt: number
  /** A cordoned worker gets nothing and gives back what it has; kept over restarts. */
  readonly isCordoned: boolean
  /** As the planner saw it last. */
  readonly isPresent: boolean
  readonly seenAt: number
}

// ── Limits and tokens ─────────────────────────────────────────────────────────────────────────────

export type RateLimit = {
  readonly perSecond: number
  /** Tokens that gather while nobody asks. */
  readonly burst: number
}

/** `granted` tokens now (0 to what was asked for); when 0, the next is there in `waitMs`. */
export type TokenGrant = { readonly granted: number; readonly waitMs: number }

export type TokenScope = 'read' | 'operate' | 'admin'

export type ApiToken = {
  readonly name: string
  readonly scope: TokenScope
  /** SHA-256 of the token, hex; the token itself is not kept. */
  readonly hash: string
  readonly createdAt: number
  readonly createdBy: string
  /** Null: never. */
  readonly expiresAt: number | null
}

// ── Events ────────────────────────────────────────────────────────────────────────────────────────

/** Something that happened to the cluster or to a run, in order of `id`. */
export type ClusterEvent = {
  readonly id: number
  readonly at: number
  readonly level: 'info' | 'warn' | 'error'
  /** Null: not of one run. */
  readonly runId: number | null
  readonly pipeline: string | null
  readonly shard: string | null
  readonly worker: string | null
  readonly kind: string
  readonly message: string
  readonly data: Json
}

export type NewClusterEvent = Omit<ClusterEvent, 'id'>

export type EventFilter = {
  readonly afterId: number
  readonly limit: number
  /** The newest `limit` of them, still oldest first. */
  readonly newest?: boolean
  readonly runId?: number
  readonly pipeline?: string
}

/** What a wake-up is about; the receiver looks for itself. */
export const WAKE_TOPICS = ['manifest', 'runs', 'shards', 'workers', 'events'] as const
export type WakeTopic = (typeof WAKE_TOPICS)[number]

// ── The port ──────────────────────────────────────────────────────────────────────────────────────

export type ClusterCatalog = {
  /** Stores `document` as the next version, unless it equals the newest, which is then returned. */
  applyManifest(document: Json, hash: string, by: string): Promise<ManifestVersion>
  /** The newest, or the given version. */
  manifest(version?: number): Promise<ManifestVersion | undefined>

  /** Inserts a run with status 'queued', once a fire key. */
  requestRun(run: NewClusterRun): Promise<RunAdmission>
  /** Newest scheduled start of each pipeline, skipped ones included. */
  lastScheduled(): Promise<ReadonlyMap<string, number>>
  /** Runs of the cluster with status queued, running or finishing, oldest first. */
  openRuns(): Promise<readonly ClusterRun[]>
  /** Becomes the steward of a run: raises its epoch. Undefined: it is over. */
  takeRun(runId: number, worker: string): Promise<ClusterRun | undefined>
  /** queued → running with these shards, all pending. False: not the steward, or not queued. */
  startRun(
    runId: number,
    epoch: number,
    plan: Json,
    shards: readonly NewRunShard[],
  ): Promise<boolean>
  /** running → finishing. False: not the steward, or shards are pending. */
  closeRun(runId: number, epoch: number): Promise<boolean>
  /** To an end status. False: not the steward, or it is over already. */
  endRun(
    runId: number,
    epoch: number,
    end: Pick<RunRow, 'status' | 'shardsDone' | 'shardsFailed' | 'error'>,
  ): Promise<boolean>
  /** A queued run is over at once; a running one has nothing pending from now on, so it ends soon. */
  cancelRun(runId: number): Promise<'cancelled' | 'asked' | 'over' | 'unknown'>
  runProgress(runId: number): Promise<RunProgress>
  /** Shards of a run, in order of shard. */
  runShards(
    runId: number,
    filter?: { readonly state?: RunShardState; readonly limit?: number; readonly after?: string },
  ): Promise<readonly RunShard[]>
  /** Pending shards of runs with status running, of these pipelines. */
  pendingShards(pipelines: readonly string[]): Promise<readonly RunShard[]>
  /** The same, of these shards only. */
  pendingParts(shards: readonly ShardKey[]): Promise<readonly RunShard[]>
  /** Returns how many were settled; stale epochs and settled rows are left out. */
  settleShards(settlements: readonly ShardSettlement[]): Promise<number>
  /** Makes pending what failed, for a run that is still running. */
  retryFailed(runId: number): Promise<number>

  shard(key: ShardKey): Promise<ShardRow | undefined>
  /** What a plan needs to know of the shards of these pipelines; upkeep is left out. */
  plannedShards(
    pipelines: readonly string[],
  ): Promise<
    readonly Pick<ShardRow, 'pipeline' | 'shard' | 'table' | 'weight' | 'paused' | 'quarantine'>[]
  >
  /** Pending parts that failed for good on some worker. */
  failedParts(): Promise<readonly (ShardKey & Pick<RunShard, 'failedOn'>)[]>

  /**
   * Like `acquireShard` for many, in one transaction, and names the holder. Rows that are unknown,
   * dropped, past `ifEpoch` or not pending are missing from the answer.
   */
  acquireShards(shards: readonly ShardAcquisition[], holder: string): Promise<readonly ShardRow[]>
  /** Connector state of many shards; those without any are missing. */
  shardStates(
    keys: readonly ShardKey[],
  ): Promise<readonly (ShardKey & { readonly state: { readonly [key: string]: Json } })[]>
  /**
   * Many shards of one table and generation in one transaction, all or nothing. Only one commit may
   * carry changes; it is stored last, and no version of the log holds its files without the cursors
   * of the others, or the reverse. Asked for again after a lost answer, it gives the same answer.
   */
  commitShards(commits: readonly ShardCommit[]): Promise<GroupOutcome>
  /** Pending parts of runs end as stopped, so that the runs end. Undefined: no such shard. */
  pauseShard(key: ShardKey, paused: boolean): Promise<ShardRow | undefined>
  /** Null lifts it, and forgets the failures. A reason stops pending parts, as a pause does. */
  quarantineShard(key: ShardKey, reason: string | null): Promise<ShardRow | undefined>

  /** Becomes the planner whose records count. */
  acquirePlanner(worker: string): Promise<number>
  /**
   * The whole picture: what is not named is forgotten, what stays as it was keeps its `since`. False
   * when `epoch` is not the newest planner's.
   */
  recordPlacements(epoch: number, placements: readonly NewPlacement[]): Promise<boolean>
  placements(filter?: {
    readonly pipeline?: string
    readonly worker?: string
  }): Promise<readonly Placement[]>

  /** A worker says who it is, when it starts. */
  recordWorker(
    worker: Pick<WorkerRow, 'name' | 'address' | 'labels' | 'slots' | 'version' | 'startedAt'>,
  ): Promise<WorkerRow>
  /** The planner says who is there. False when `epoch` is not the newest planner's. */
  recordPresence(epoch: number, present: readonly string[]): Promise<boolean>
  workers(): Promise<readonly WorkerRow[]>
  /** Undefined: no such worker. */
  cordonWorker(name: string, cordoned: boolean): Promise<WorkerRow | undefined>

  /** Takes up to `want` tokens of a bucket that all workers share; the time is the catalog's own. */
  takeTokens(bucket: string, want: number, limit: RateLimit): Promise<TokenGrant>

  /** False: the name is in use. */
  createToken(token: Omit<ApiToken, 'createdAt'>): Promise<boolean>
  tokens(): Promise<readonly ApiToken[]>
  revokeToken(name: string): Promise<boolean>

  addClusterEvents(events: readonly NewClusterEvent[]): Promise<void>
  clusterEvents(filter: EventFilter): Promise<readonly ClusterEvent[]>

  /**
   * Calls back after commits of any process, as soon as they are heard of. Wake-ups may be lost (a
   * connection broke) and may come for nothing; polling stays correct without them. Each listener is
   * woken for everything when it begins to hear, and again after a connection was lost.
   */
  onWake(listener: (topic: WakeTopic) => void): AsyncDisposable
}
