/**
 * What a shard, its commits and a run look like to everybody: the words that both halves of the catalog
 * port (catalog.ts, cluster.ts) are written in.
 */
import type { Json } from '../lib/json.ts'

// ── Shards ────────────────────────────────────────────────────────────────────────────────────────

export type ShardKey = { readonly pipeline: string; readonly shard: string }

export type ShardRow = ShardKey & {
  /** The table that this shard feeds. */
  readonly table: string
  /** What the connector needs to find the shard again; fixed when the shard was discovered. */
  readonly spec: Json
  /** Opaque to everyone but the connector; null before the first commit of a generation. */
  readonly cursor: Json
  /** Commits so far over all generations; strictly increasing. */
  readonly seq: number
  /** Fencing token, raised by `acquireShard`. */
  readonly epoch: number
  /** The table generation that the cursor belongs to. */
  readonly generation: number
  /** True once the source had no more rows for a full load of `generation`. */
  readonly done: boolean
  readonly paused: boolean
  /** Why no run takes it up, after it failed run after run; null: it may run. */
  readonly quarantine: string | null
  /** Runs in a row that it failed in. */
  readonly failures: number
  /** Who acquired it last. */
  readonly holder: string | null
  /** Milliseconds of work of a pass, a moving average; 0: not measured. */
  readonly weight: number
}

export type NewShard = ShardKey & {
  readonly table: string
  readonly spec: Json
  /** True for a shard that only rewrites files (compaction): no generation waits for it. */
  readonly upkeep?: boolean
}

// ── Commits ───────────────────────────────────────────────────────────────────────────────────────

/** A data file as the encoder left it; `path` is relative to the table's folder. */
export type DataFile = {
  readonly path: string
  readonly bytes: number
  readonly rows: number
  /** Delta statistics as JSON text: numRecords, minValues, maxValues, nullCount. */
  readonly stats: string
  /** Partition column → text, null for null. */
  readonly partition: { readonly [column: string]: string | null }
  readonly schemaRevision: number
}

export type TableChange = {
  readonly table: string
  readonly adds: readonly DataFile[]
  /** Paths replaced by `adds` (compaction). All must be live, else the commit is a conflict. */
  readonly removes: readonly string[]
  /** False for rewrites that leave the rows as they are. */
  readonly dataChange: boolean
}

export type Counters = {
  readonly rowsRead: number
  readonly rowsWritten: number
  readonly rowsQuarantined: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly files: number
  readonly requests: number
  readonly notModified: number
  readonly retries: number
}

export type ShardCommit = ShardKey & {
  readonly runId: number
  readonly epoch: number
  readonly expectedSeq: number
  readonly generation: number
  readonly cursor: Json
  /** The source has nothing more for this generation's full load. */
  readonly done: boolean
  readonly changes: readonly TableChange[]
  /** Connector state to set (null deletes), e.g. ETags; moves with the rows or not at all. */
  readonly state: { readonly [key: string]: Json }
  /** Added to the run's counters. */
  readonly counters: Partial<Counters>
  /** With `done`: milliseconds that the pass took, for the shard's weight. */
  readonly workMs?: number
}

export type CommitOutcome =
  | { readonly kind: 'committed'; readonly seq: number }
  /** Somebody acquired the shard later, or it moved: nothing was written. */
  | { readonly kind: 'fenced'; readonly epoch: number; readonly seq: number }
  /** A removed file was not live any more: nothing was written. */
  | { readonly kind: 'conflict'; readonly path: string }

// ── Runs ──────────────────────────────────────────────────────────────────────────────────────────

/** 'queued', 'running' and 'finishing' are not over; 'skipped' never began. */
export type RunStatus =
  | 'queued'
  | 'running'
  | 'finishing'
  | 'succeeded'
  | 'partial'
  | 'failed'
  | 'cancelled'
  | 'lost'
  | 'skipped'
export type RunKind = 'run' | 'full-refresh' | 'backfill' | 'compact'

export type RunRow = {
  readonly id: number
  readonly pipeline: string
  readonly kind: RunKind
  readonly status: RunStatus
  readonly worker: string
  readonly startedAt: number
  readonly endedAt: number | null
  readonly shardsTotal: number
  readonly shardsDone: number
  readonly shardsFailed: number
  readonly counters: Counters
  readonly error: string | null
}

export type RunEvent = {
  readonly runId: number
  readonly at: number
  readonly level: 'info' | 'warn' | 'error'
  readonly shard: string | null
  readonly kind: string
  readonly message: string
  readonly data: Json
}
