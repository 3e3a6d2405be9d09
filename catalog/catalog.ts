/**
 * The catalog port: the one place where it is decided whose writes count.
 *
 * A shard's commit is one transaction guarded by (epoch, seq): either the cursor, the file list, the
 * connector state and the counters all move, or nothing does (L3, S2). The bucket's table log is a
 * projection of `table_commit` that a publisher writes later, body first into the catalog, then as an
 * object. Adapters: sqlite.ts, postgres.ts; one conformance suite holds both.
 */
import type { Column } from '../lib/column.ts'
import type { Json } from '../lib/json.ts'
import type { ClusterCatalog } from './cluster.ts'
import type {
  CommitOutcome,
  Counters,
  DataFile,
  NewShard,
  RunEvent,
  RunRow,
  ShardCommit,
  ShardKey,
  ShardRow,
} from './rows.ts'

export type {
  CommitOutcome,
  Counters,
  DataFile,
  NewShard,
  RunEvent,
  RunKind,
  RunRow,
  RunStatus,
  ShardCommit,
  ShardKey,
  ShardRow,
  TableChange,
} from './rows.ts'

// ── Tables ────────────────────────────────────────────────────────────────────────────────────────

export type TableMode = 'append' | 'upsert' | 'replace'

export type TableRow = {
  readonly name: string
  /** GUID in the Delta metaData, fixed at creation. */
  readonly uuid: string
  readonly destination: string
  readonly mode: TableMode
  /** Key columns (table names) for upsert. */
  readonly key: readonly string[]
  readonly partitionBy: readonly string[]
  /** Generation that readers see. */
  readonly generation: number
  /** Generation being loaded beside the visible one; null when none is. */
  readonly staging: number | null
  readonly schemaRevision: number
  readonly columns: readonly Column[]
  /** Next log version to be written. */
  readonly nextVersion: number
  readonly publishEpoch: number
}

export type NewTable = Pick<TableRow, 'name' | 'destination' | 'mode' | 'key' | 'partitionBy'>

export type SchemaRevision = {
  readonly table: string
  readonly revision: number
  readonly columns: readonly Column[]
  /** One sentence a change: "added column city (string)". */
  readonly changes: readonly string[]
  readonly runId: number | null
  readonly createdAt: number
}

export type SchemaDecision = {
  readonly id: number
  readonly table: string
  readonly pipeline: string
  /** What the source asks for, e.g. {kind:"add-column", column:…}. */
  readonly change: Json
  readonly status: 'pending' | 'approved' | 'denied'
  readonly createdAt: number
}

/** A committed change that no log version holds yet. */
export type PendingCommit = {
  readonly id: number
  readonly pipeline: string
  readonly shard: string
  readonly seq: number
  readonly epoch: number
  readonly runId: number
  readonly generation: number
  readonly cursor: Json
  readonly done: boolean
  /** The shard's spec, so that a rebuild from the bucket cuts the source in the same places. */
  readonly spec?: Json
  readonly dataChange: boolean
  readonly adds: readonly DataFile[]
  readonly removes: readonly string[]
}

export type LiveFile = DataFile & {
  readonly generation: number
  /** Log version that added it. */
  readonly version: number
  /** Time of that version. */
  readonly addedAt?: number
  readonly pipeline: string
  readonly shard: string
}

export type RemovedFile = {
  readonly path: string
  readonly bytes: number
  readonly partition: DataFile['partition']
  readonly version: number
  readonly removedAt: number
}

export type ShardTxn = { readonly pipeline: string; readonly shard: string; readonly seq: number }

/** Everything a publisher may look at while it decides the next version; a pure function folds it. */
export type FoldInput = {
  readonly catalogId: string
  readonly table: TableRow
  readonly version: number
  readonly now: number
  readonly pending: readonly PendingCommit[]
  /** True when the last published version knew an older schema revision (or there is none). */
  readonly schemaChanged: boolean
  /** Visible files that the new generation replaces; empty when no generation changes. */
  readonly replaced: readonly LiveFile[]
  /** The live files that `pending` removes, for their sizes and partitions. */
  readonly removing?: readonly LiveFile[]
}

export type LogEntry = {
  readonly table: string
  readonly version: number
  /** The bytes of `_delta_log/<version>.json`, fixed for ever. */
  readonly body: string
  readonly publishedAt: number | null
  readonly createdAt: number
}

export type PublishOutcome =
  | { readonly kind: 'prepared'; readonly entry: LogEntry; readonly more: boolean }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'fenced' }

// ── The port ──────────────────────────────────────────────────────────────────────────────────────

export type Catalog = AsyncDisposable & ClusterCatalog & CoreCatalog

/** Shards, commits, tables and their logs, runs of one process. */
export type CoreCatalog = {
  /** Stable identity, minted when the catalog was created; part of every Delta txn appId. */
  readonly id: string
  /** "sqlite:/path" or "postgres://host/db" without credentials, for people. */
  readonly label: string

  /** Inserts the table, or updates mode, key and partitioning of an existing one that has no files. */
  ensureTable(table: NewTable): Promise<TableRow>
  table(name: string): Promise<TableRow | undefined>
  tables(): Promise<readonly TableRow[]>
  /** Compare-and-set on the revision; 'conflict' carries the row that won. */
  evolveSchema(
    table: string,
    baseRevision: number,
    columns: readonly Column[],
    changes: readonly string[],
    runId: number | null,
  ): Promise<{ readonly kind: 'evolved' | 'conflict'; readonly table: TableRow }>
  schemaRevisions(table?: string): Promise<readonly SchemaRevision[]>
  /** Queues a decision once: an equal pending, approved or denied change returns the existing row. */
  requestDecision(table: string, pipeline: string, change: Json): Promise<SchemaDecision>
  decisions(status?: SchemaDecision['status']): Promise<readonly SchemaDecision[]>
  decide(id: number, status: 'approved' | 'denied'): Promise<SchemaDecision | undefined>

  /** Starts (or returns the unfinished) staging generation; shard cursors of it start at null. */
  beginGeneration(table: string): Promise<TableRow>
  /**
   * Makes the staging generation the visible one, in one step, when every shard of the table is done
   * for it. Returns false (and changes nothing) while one is not, or when nothing is staged.
   */
  sealGeneration(table: string): Promise<boolean>
  /** Drops the staging generation and its unpublished commits. */
  abandonGeneration(table: string): Promise<void>

  /** Adds shards that are not known yet; known ones keep their spec, cursor and seq. */
  ensureShards(shards: readonly NewShard[]): Promise<void>
  /** Forgets shards of a pipeline (reshard); their commits stay. */
  dropShards(pipeline: string, shards: readonly string[]): Promise<void>
  shards(pipeline?: string): Promise<readonly ShardRow[]>
  /**
   * Raises the epoch by one and returns the row. When `generation` is newer than the row's, the
   * cursor becomes null and `done` false in the same step.
   */
  acquireShard(key: ShardKey, generation: number): Promise<ShardRow>
  /** Sets a cursor by hand (also raises the epoch, so a running worker is fenced). Undefined: no such shard. */
  setCursor(key: ShardKey, cursor: Json): Promise<ShardRow | undefined>
  /** Connector state, by key. */
  shardState(key: ShardKey): Promise<{ readonly [key: string]: Json }>
  clearShardState(key: ShardKey): Promise<void>
  commit(commit: ShardCommit): Promise<CommitOutcome>

  /** Takes over publishing of a table: raises the publish epoch and returns it. */
  acquirePublisher(table: string): Promise<number>
  /**
   * In one transaction: reads pending commits of the visible generation (all of them when a
   * generation changes, else at most `pendingMax`), folds them, stores the body under the next
   * version, marks the commits and updates the live files. 'fenced' when `epoch` is not the newest.
   */
  preparePublish(
    table: string,
    epoch: number,
    pendingMax: number,
    fold: (input: FoldInput) => string,
  ): Promise<PublishOutcome>
  /** Log bodies not yet confirmed in the bucket, in order of version. */
  unpublished(table: string): Promise<readonly LogEntry[]>
  markPublished(table: string, version: number): Promise<void>
  /** The newest entries, newest first. */
  logEntries(table: string, limit: number): Promise<readonly LogEntry[]>
  liveFiles(table: string): Promise<readonly LiveFile[]>
  /** Tombstones removed at or after `sinceMs`. */
  removedFiles(table: string, sinceMs: number): Promise<readonly RemovedFile[]>
  /** Forgets tombstones whose objects were deleted. */
  forgetRemoved(table: string, paths: readonly string[]): Promise<void>
  /** Newest seq per shard over published commits: the txn actions a checkpoint must hold. */
  publishedTxns(table: string): Promise<readonly ShardTxn[]>
  /** Which of these paths any commit of the table (published, pending, staged or removed) names. */
  knownPaths(table: string, paths: readonly string[]): Promise<ReadonlySet<string>>
  hasPending(table: string): Promise<boolean>

  createRun(run: Pick<RunRow, 'pipeline' | 'kind' | 'worker' | 'shardsTotal'>): Promise<number>
  finishRun(
    runId: number,
    end: Pick<RunRow, 'status' | 'shardsDone' | 'shardsFailed' | 'error'>,
  ): Promise<void>
  /** Adds to the counters outside a shard commit (e.g. 304s of a pass that found nothing). */
  addCounters(runId: number, counters: Partial<Counters>): Promise<void>
  /** Newest first; `before`: only those with smaller ids. */
  runs(filter: {
    readonly pipeline?: string
    readonly before?: number
    readonly limit: number
  }): Promise<readonly RunRow[]>
  run(id: number): Promise<RunRow | undefined>
  addEvents(events: readonly RunEvent[]): Promise<void>
  events(runId: number): Promise<readonly RunEvent[]>
  /** Marks runs of this worker that are still 'running' as 'lost' (after a crash). */
  markLost(worker: string): Promise<number>

  /** Rebuild only: writes rows as a replayed log tells them. Refuses when the table exists. */
  restoreTable(restored: RestoredTable): Promise<void>
}

/** What a log tells of a shard. */
export type RestoredShard = Pick<
  ShardRow,
  'pipeline' | 'shard' | 'table' | 'spec' | 'cursor' | 'seq' | 'generation' | 'done'
> &
  Pick<NewShard, 'upkeep'>

/** What `catalog rebuild --from-bucket` learns from one table's log. */
export type RestoredTable = {
  readonly table: Omit<TableRow, 'staging' | 'publishEpoch'>
  readonly shards: readonly RestoredShard[]
  readonly epochs: { readonly [pipelineAndShard: string]: number }
  readonly live: readonly LiveFile[]
  readonly removed: readonly RemovedFile[]
  readonly log: readonly LogEntry[]
  /** Highest run id in the log; new runs must come after it, for upserts are ordered by it. */
  readonly lastRunId?: number
}

export const NO_COUNTERS: Counters = {
  rowsRead: 0,
  rowsWritten: 0,
  rowsQuarantined: 0,
  bytesRead: 0,
  bytesWritten: 0,
  files: 0,
  requests: 0,
  notModified: 0,
  retries: 0,
}
