/**
 * The shape of hakiri.toml and of pipelines/NAME.toml|json: keys, types and simple limits. What one key
 * means for another is checked in check-pipeline.ts; defaults are filled in fill.ts.
 */
import * as v from 'valibot'
import {
  about,
  bytes,
  columnType,
  count,
  credentials,
  duration,
  durationRange,
  flag,
  name,
  reference,
  someTexts,
  text,
  texts,
} from './schema-parts.ts'
import { source } from './schema-source.ts'

const write = about(
  'How rows are written.',
  v.strictObject({
    mode: v.optional(
      about(
        'append, upsert (by key) or replace (a full load takes the place of the table). "changelog" comes with a later version.',
        v.picklist(['append', 'upsert', 'replace', 'changelog']),
      ),
    ),
    key: v.optional(
      about("Source columns that identify a row. Default: the source's key.", someTexts),
    ),
    cursor: v.optional(about('Growing source column for incremental reads.', text)),
    lag: v.optional(
      about(
        'Window for rows that become visible late: "10m" for time, a number for numbers.',
        v.union([
          v.pipe(
            v.string(),
            v.regex(/^\d+(\.\d+)?(ms|s|m|h|d)?$/, 'is not a lag: write "10m" or a number'),
          ),
          count(0, Number.MAX_SAFE_INTEGER),
        ]),
      ),
    ),
    soft_delete: v.optional(about('Only with mode = "changelog".', flag)),
  }),
)

const shardBy = about(
  'How the pipeline is cut into shards: "pipeline" (default), "table", "file", a word that the source knows, or ranges of one key.',
  v.union([
    text,
    v.strictObject({
      key: about('Column that is cut into ranges.', text),
      ranges: about('Number of ranges.', count(1, 1024)),
    }),
  ]),
)

const schedule = about(
  'When `hakiri serve` runs it: cron or every.',
  v.strictObject({
    cron: v.optional(about('Five or six fields, or @daily and the like.', text)),
    every: v.optional(about('Time from one start to the next.', duration)),
    tz: v.optional(about('Time zone of cron, such as "Europe/Berlin". Default: "UTC".', text)),
    overlap: v.optional(
      about('When the last run is not done yet. Default: "skip".', v.picklist(['skip', 'queue'])),
    ),
    catchup: v.optional(about('Run once for starts that were missed. Default: false.', flag)),
    jitter: v.optional(about('Up to this much later, by chance. Default: "0s".', duration)),
  }),
)

const tablesPolicy = v.picklist(['evolve', 'freeze', 'discard_row', 'ask'])
const columnsPolicy = v.picklist(['evolve', 'freeze', 'discard_row', 'discard_value', 'ask'])
const typesPolicy = v.picklist([
  ...(['evolve', 'freeze', 'discard_row', 'discard_value', 'ask'] as const),
  'variant',
])
const schemaPolicy = about(
  'What a changing source may do to tables.',
  v.strictObject({
    tables: v.optional(about('A new table. Default: "evolve".', tablesPolicy)),
    columns: v.optional(about('A new column. Default: "evolve".', columnsPolicy)),
    types: v.optional(about('A value of another type. Default: "variant".', typesPolicy)),
  }),
)

const types = about(
  'Column → type, over what the source says: boolean, short, integer, long, float, double, string, binary, date, timestamp, decimal(10,2).',
  v.record(text, columnType),
)

const table = v.strictObject({
  exclude: v.optional(about('Columns to leave out.', texts)),
  shard_by: v.optional(shardBy),
  write: v.optional(write),
  types: v.optional(types),
})

const cdc = about(
  'Change data capture; comes with a later version.',
  v.strictObject({
    slot: v.optional(text),
    publication: v.optional(text),
    snapshot_chunk: v.optional(text),
    heartbeat: v.optional(duration),
    max_lag: v.optional(bytes),
    on_lag: v.optional(v.picklist(['alert', 'pause', 'drop_slot'])),
  }),
)

/** Keys that [defaults] and a pipeline share. */
const shared = {
  mode: v.optional(
    about(
      'full, or incremental by write.cursor. Default: incremental when write.cursor is set. "cdc" comes with a later version.',
      v.picklist(['full', 'incremental', 'cdc']),
    ),
  ),
  shard_by: v.optional(shardBy),
  schedule: v.optional(schedule),
  placement: v.optional(about('Labels that a worker must carry.', v.record(text, v.string()))),
  destination: v.optional(
    about('Name of a [destination.X]. Default: the only one there is.', v.string()),
  ),
  write: v.optional(write),
  schema: v.optional(schemaPolicy),
  quarantine: v.optional(
    about(
      'How many rows may be rejected before a run fails.',
      v.strictObject({
        max_rows: v.optional(about('Default: 1000.', count(0, 1_000_000_000))),
        max_ratio: v.optional(
          about(
            'Share of all rows, 0 to 1. Default: 0.001.',
            v.pipe(
              v.number(),
              v.minValue(0, 'must be between 0 and 1'),
              v.maxValue(1, 'must be between 0 and 1'),
            ),
          ),
        ),
      }),
    ),
  ),
  retries: v.optional(
    about(
      'Retries of a shard that fails for a passing reason.',
      v.strictObject({
        max: v.optional(about('Default: 8.', count(0, 100))),
        backoff: v.optional(about('First and longest wait. Default: "1s..5m".', durationRange)),
      }),
    ),
  ),
  memory: v.optional(about('Budget of a run. Default: "512MB".', bytes)),
  limits: v.optional(
    v.strictObject({
      concurrency: v.optional(about('Shards at a time. Default: 4.', count(1, 256))),
      requests_per_hour: v.optional(count(1, 1_000_000_000)),
      requests_per_second: v.optional(
        v.pipe(
          v.number(),
          v.minValue(0.001, 'must be 0.001 or more'),
          v.maxValue(1_000_000, 'must be 1000000 or less'),
        ),
      ),
    }),
  ),
}

export const pipelineSchema = about(
  'A pipeline: one source, its tables, one destination.',
  v.strictObject({
    source,
    ...shared,
    partition_by: v.optional(
      about('Columns, or year, month, day, hour of one: ["day(created_at)", "country"].', texts),
    ),
    types: v.optional(types),
    table: v.optional(about('Options of single source tables, by name.', v.record(text, table))),
    cdc: v.optional(cdc),
  }),
)

/** A pipeline file may also name its JSON Schema. */
export const pipelineFileSchema = v.strictObject({
  $schema: v.optional(v.string()),
  ...pipelineSchema.entries,
})

const destination = v.strictObject({
  type: about('A local folder, or an S3-compatible bucket.', v.picklist(['file', 's3'])),
  url: reference('Folder path, or s3://bucket/prefix.'),
  endpoint: v.optional(reference('Address of an S3-compatible store. Default: AWS.')),
  region: v.optional(about('Default: "us-east-1".', text)),
  credentials: v.optional(credentials),
  format: v.optional(about('Default: "delta".', v.picklist(['delta', 'parquet', 'iceberg']))),
  compression: v.optional(about('Default: "zstd".', v.picklist(['zstd']))),
  publish_interval: v.optional(
    about(
      'Longest time between commits and their publication during a run. Default: "30s".',
      duration,
    ),
  ),
  files: v.optional(
    about(
      'Sizes and compaction.',
      v.strictObject({
        target_size: v.optional(about('Size that compaction aims at. Default: "192MB".', bytes)),
        max_open_time: v.optional(about('A file is sealed at this age. Default: "5m".', duration)),
        compact: v.optional(
          v.strictObject({
            min_files: v.optional(
              about('Small files before compaction pays. Default: 16.', count(2, 100_000)),
            ),
            schedule: v.optional(about('Cron, for `hakiri serve`.', text)),
            retain: v.optional(
              about('Replaced files are kept this long. Default: "7d".', duration),
            ),
          }),
        ),
      }),
    ),
  ),
})

const tls = v.strictObject({
  ca: v.optional(text),
  cert: v.optional(text),
  key: v.optional(about('Path of the private key.', text)),
})

const address = v.pipe(
  v.string(),
  v.regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):\d{1,5}$/, 'is not an address: write "host:port"'),
)
const addresses = v.pipe(v.array(address), v.minLength(1, 'needs at least one entry'))

/** Both ways round: what a coordinator is started with, and where workers and `hakiri ctl` find it. */
export const coordSchema = about(
  'Coordinator, for a cluster.',
  v.strictObject({
    endpoints: v.optional(about('Where workers and `hakiri ctl` find it, host:port.', addresses)),
    bind: v.optional(about('Where this member listens. Default: 127.0.0.1:7701.', address)),
    advertise: v.optional(about('Where the others reach this member.', address)),
    name: v.optional(about('Name of this member, for people.', text)),
    peers: v.optional(about('All members of a new cluster, the same list on each.', addresses)),
    join: v.optional(about('Members of a running cluster to join.', addresses)),
    data: v.optional(about('Folder of log and state. Default: .hakiri/coord.', text)),
    cluster_token: v.optional(about('Keeps clusters with equal addresses apart.', text)),
    heartbeat_interval: v.optional(about('Default: "100ms".', duration)),
    election_timeout: v.optional(about('Default: "1s", at least five heartbeats.', duration)),
    quota: v.optional(about('Bytes that keys and history may take. Default: "128MiB".', bytes)),
    keep_revisions: v.optional(about('History kept, in revisions. Default: 10000.', count(1, 1e9))),
    keep_history: v.optional(about('History kept, in time. Default: "1h".', duration)),
    insecure: v.optional(about('Listen beyond loopback without TLS.', flag)),
    tls: v.optional(
      v.strictObject({
        cert: v.optional(about('Path of the certificate chain, PEM.', text)),
        key: v.optional(about('Path of the private key, PEM.', text)),
        ca: v.optional(about('Path of the trusted CA bundle, PEM.', text)),
        client_auth: v.optional(about('Clients and members must show a certificate.', flag)),
      }),
    ),
  }),
)
export type RawCoord = v.InferOutput<typeof coordSchema>

export const workerSchema = about(
  'Worker, for `hakiri serve`.',
  v.strictObject({
    name: v.optional(about('Unique in the cluster. Default: the name of the host.', text)),
    bind: v.optional(about('Host that the HTTP API listens on. Default: 127.0.0.1.', text)),
    port: v.optional(about('Port of the HTTP API. Default: 7700.', count(0, 65_535))),
    slots: v.optional(about('Shards at a time. Default: 4.', count(1, 4096))),
    memory: v.optional(about('Memory for reading and encoding. Default: "512MB".', bytes)),
    labels: v.optional(about('What `placement` is matched against.', v.record(text, v.string()))),
    session_ttl: v.optional(
      about('A worker that is silent for so long loses its shards. Default: "10s".', duration),
    ),
    drain_timeout: v.optional(
      about('How long a clean stop may take before work is cut off. Default: "30s".', duration),
    ),
    rebalance_grace: v.optional(
      about('A worker that vanished keeps its shards for so long. Default: "0s".', duration),
    ),
  }),
)
export type RawWorker = v.InferOutput<typeof workerSchema>

const alerts = about(
  'Messages about pipelines, for `hakiri serve`.',
  v.strictObject({
    webhook: v.optional(
      v.strictObject({
        url: reference('Slack-compatible address.'),
        on: v.optional(
          v.array(v.picklist(['failed', 'recovered', 'lag', 'schema_ask', 'slot_risk'])),
        ),
      }),
    ),
  }),
)

export const manifestSchema = v.strictObject({
  version: v.optional(about('Version of this format. Default: 1.', v.literal(1))),
  coord_backend: v.optional(
    about('Who coordinates workers. Default: "local".', v.picklist(['local', 'raft', 'etcd'])),
  ),
  catalog: v.optional(
    about(
      'Where cursors, runs and table logs are kept.',
      v.strictObject({
        url: v.optional(
          reference('sqlite:PATH or postgres://…. Default: sqlite:.hakiri/catalog.db.'),
        ),
      }),
    ),
  ),
  destination: v.optional(about('Places that tables are written to.', v.record(name, destination))),
  defaults: v.optional(
    about('What pipelines have unless they say otherwise.', v.strictObject(shared)),
  ),
  pipelines: v.optional(about('Pipelines by name.', v.record(name, pipelineSchema))),
  alerts: v.optional(alerts),
  coord: v.optional(coordSchema),
  worker: v.optional(workerSchema),
})

export type RawManifest = v.InferOutput<typeof manifestSchema>
export type RawPipeline = v.InferOutput<typeof pipelineSchema>
export type RawDefaults = NonNullable<RawManifest['defaults']>
export type RawDestination = v.InferOutput<typeof destination>
export type RawShardBy = v.InferOutput<typeof shardBy>
export type RawWrite = v.InferOutput<typeof write>
export type RawTable = v.InferOutput<typeof table>

/** Parts that the JSON Schema names once and points to. */
export const definitions = {
  credentials,
  source,
  write,
  shard_by: shardBy,
  schedule,
  schema_policy: schemaPolicy,
  types,
  tls,
  pipeline: pipelineSchema,
  pipeline_file: pipelineFileSchema,
}
