/** What answers look like; the OpenAPI document is written from this, and handlers are held against it. */
import * as v from 'valibot'
import { CODES } from '../../lib/error.ts'

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
/** UTC, ISO 8601. */
const time = v.pipe(v.string(), v.isoTimestamp())
const labels = v.record(v.string(), v.string())
const anything = v.unknown()

/** A page of `item`; `next` is the cursor of the following one. */
export function pageSchema<T extends v.GenericSchema>(item: T) {
  return v.strictObject({ items: v.array(item), next: v.nullable(v.string()) })
}

export const problemSchema = v.strictObject({
  type: v.string(),
  title: v.string(),
  status: count,
  code: v.picklist(Object.keys(CODES)),
  detail: v.string(),
  suggestion: v.optional(v.string()),
})

export const errorSchema = v.strictObject({
  code: v.string(),
  status: count,
  retry: v.picklist(['transient', 'rate', 'auth', 'data', 'fatal']),
  meaning: v.string(),
})

const runStatus = v.picklist([
  'queued',
  'running',
  'finishing',
  'succeeded',
  'partial',
  'failed',
  'cancelled',
  'lost',
  'skipped',
])

const counters = v.strictObject({
  rowsRead: count,
  rowsWritten: count,
  rowsQuarantined: count,
  bytesRead: count,
  bytesWritten: count,
  files: count,
  requests: count,
  notModified: count,
  retries: count,
})

const runFields = {
  id: count,
  pipeline: v.string(),
  kind: v.picklist(['run', 'full-refresh', 'backfill', 'compact']),
  status: runStatus,
  worker: v.string(),
  startedAt: time,
  endedAt: v.nullable(time),
  shardsTotal: count,
  shardsDone: count,
  shardsFailed: count,
  counters,
  error: v.nullable(v.string()),
}
export const runSchema = v.strictObject(runFields)

export const runDetailSchema = v.strictObject({
  ...runFields,
  progress: v.strictObject({ pending: count, done: count, failed: count, stopped: count }),
  /** Null once it is over. */
  open: v.nullable(
    v.strictObject({
      trigger: v.picklist(['schedule', 'manual']),
      scheduledAt: time,
      manifestVersion: count,
      isCancelled: v.boolean(),
    }),
  ),
})

export const runPartSchema = v.strictObject({
  shard: v.string(),
  table: v.string(),
  state: v.picklist(['pending', 'done', 'failed', 'stopped']),
  attempts: count,
  nextAt: time,
  worker: v.nullable(v.string()),
  error: v.nullable(v.string()),
  failedOn: v.array(v.string()),
})

export const eventSchema = v.strictObject({
  id: count,
  at: time,
  level: v.picklist(['info', 'warn', 'error']),
  runId: v.nullable(count),
  pipeline: v.nullable(v.string()),
  shard: v.nullable(v.string()),
  worker: v.nullable(v.string()),
  kind: v.string(),
  message: v.string(),
  data: anything,
})

export const newRunSchema = v.strictObject({
  fullRefresh: v.optional(v.boolean(), false),
  /** Only this shard. */
  shard: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(1_024))),
  overlap: v.optional(v.picklist(['skip', 'queue']), 'queue'),
})

export const admittedSchema = v.strictObject({
  kind: v.picklist(['created', 'known']),
  runId: count,
})

export const cancelledSchema = v.strictObject({
  runId: count,
  outcome: v.picklist(['cancelled', 'asked', 'over']),
})

const pipelineFields = {
  name: v.string(),
  source: v.string(),
  destination: v.string(),
  mode: v.picklist(['full', 'incremental']),
  schedule: v.nullable(
    v.strictObject({
      cron: v.nullable(v.string()),
      everyMs: v.nullable(count),
      tz: v.string(),
      overlap: v.picklist(['skip', 'queue']),
      catchup: v.boolean(),
      jitterMs: count,
    }),
  ),
  placement: labels,
  lastScheduledAt: v.nullable(time),
  openRuns: v.array(count),
}
export const pipelineSchema = v.strictObject(pipelineFields)

export const pipelineDetailSchema = v.strictObject({
  ...pipelineFields,
  manifestVersion: count,
  shards: v.strictObject({ total: count, paused: count, quarantined: count, unassigned: count }),
  tables: v.array(v.string()),
  latestRuns: v.array(runSchema),
})

const shardFields = {
  pipeline: v.string(),
  shard: v.string(),
  state: v.picklist([
    'paused',
    'quarantined',
    'unassigned',
    'moving',
    'waiting',
    'running',
    'idle',
  ]),
  table: v.nullable(v.string()),
  /** Where the planner wants it; null: nowhere, and `reason` says why. */
  worker: v.nullable(v.string()),
  reason: v.nullable(v.string()),
  since: v.nullable(time),
  holder: v.nullable(v.string()),
  epoch: v.nullable(count),
  seq: v.nullable(count),
  failures: count,
  quarantine: v.nullable(v.string()),
  run: v.nullable(
    v.strictObject({
      id: count,
      attempts: count,
      nextAt: time,
      error: v.nullable(v.string()),
    }),
  ),
  /** What to do next, if anything. */
  advice: v.nullable(v.string()),
}
export const shardSchema = v.strictObject(shardFields)

export const resetSchema = v.strictObject({
  /** Said to be meant: rows of tables with mode append will double. */
  confirm: v.literal(true),
})

export const changedShardSchema = v.strictObject({
  pipeline: v.string(),
  shard: v.string(),
  epoch: count,
  seq: count,
  paused: v.boolean(),
  quarantine: v.nullable(v.string()),
})

export const workerSchema = v.strictObject({
  name: v.string(),
  address: v.string(),
  labels,
  slots: count,
  version: v.string(),
  startedAt: time,
  seenAt: time,
  isCordoned: v.boolean(),
  isPresent: v.boolean(),
  /** Shards and offices that the planner wants there. */
  assigned: count,
})

export const tableSchema = v.strictObject({
  name: v.string(),
  destination: v.string(),
  mode: v.picklist(['append', 'upsert', 'replace']),
  key: v.array(v.string()),
  partitionBy: v.array(v.string()),
  generation: count,
  staging: v.nullable(count),
  schemaRevision: count,
  columns: v.array(v.strictObject({ name: v.string(), type: v.string() })),
  /** Newest version of the log; null: none yet. */
  version: v.nullable(count),
})

export const clusterSchema = v.strictObject({
  /** Who answers. */
  worker: v.string(),
  version: v.string(),
  startedAt: time,
  session: v.picklist(['joining', 'held', 'detached', 'leaving']),
  notReady: v.array(v.string()),
  planner: v.nullable(v.string()),
  manifestVersion: v.nullable(count),
  /** Of the coordinator; null: it never answered this worker. */
  revision: v.nullable(count),
  sessions: v.array(
    v.strictObject({
      name: v.string(),
      state: v.picklist(['active', 'leaving']),
      address: v.string(),
      slots: count,
      labels,
      version: v.string(),
      startedAt: time,
      claims: count,
      assignments: count,
    }),
  ),
  coordinators: v.array(
    v.strictObject({
      endpoint: v.string(),
      isReachable: v.boolean(),
      isLeader: v.boolean(),
      version: v.nullable(v.string()),
      error: v.nullable(v.string()),
    }),
  ),
})
