/** The typed manifest: what hakiri.toml and pipelines/* mean after parsing, checking and filling defaults. */
import type { Json } from '../lib/json.ts'
import type { PartitionField, SchemaPolicy } from '../lib/policy.ts'
import type { Backoff } from '../lib/backoff.ts'

/** `env:NAME`, `file:PATH`, `secret://name` or literal text; resolved late by manifest/secrets.ts. */
export type Reference = string

export type Manifest = {
  /** Folder of hakiri.toml; relative paths start here. */
  readonly baseFolder: string
  /** Every file that was read, hakiri.toml first. */
  readonly files: readonly string[]
  readonly catalogUrl: Reference
  readonly destinations: { readonly [name: string]: Destination }
  readonly pipelines: { readonly [name: string]: Pipeline }
  /** Who coordinates workers, for `hakiri serve`. */
  readonly coordBackend: 'local' | 'raft' | 'etcd'
}

export type Destination = {
  readonly name: string
  readonly type: 'file' | 's3'
  /** Folder path, or s3://bucket/prefix. */
  readonly url: Reference
  readonly endpoint: Reference | undefined
  readonly region: string
  readonly credentials: Credentials | undefined
  readonly format: 'delta'
  readonly publishIntervalMs: number
  readonly files: {
    /** Compaction aims at files of this size. */
    readonly targetBytes: number
    /** A batch is sealed at this age at the latest. */
    readonly openMsMax: number
    readonly compactMinFiles: number
    /** When a daemon compacts; unused by single runs. */
    readonly compactCron: string | undefined
    readonly retainMs: number
  }
}

/**
 * `env:PREFIX` means PREFIX_ACCESS_KEY_ID and PREFIX_SECRET_ACCESS_KEY, and PREFIX_SESSION_TOKEN, which is
 * marked as optional (`env:PREFIX_SESSION_TOKEN?`): it resolves to "" where it is not set.
 */
export type Credentials = {
  readonly accessKeyId: Reference
  readonly secretAccessKey: Reference
  readonly sessionToken: Reference | undefined
}

export type ShardBy =
  | { readonly kind: 'pipeline' }
  | { readonly kind: 'table' }
  | { readonly kind: 'file' }
  | { readonly kind: 'range'; readonly key: string; readonly ranges: number }
  /** Any other word, for connectors that know it (github: "repo"). */
  | { readonly kind: 'named'; readonly name: string }

export type Write = {
  readonly mode: 'append' | 'upsert' | 'replace'
  /** Source column names; empty means the source's primary key. */
  readonly key: readonly string[]
  /** Growing column for incremental reads. */
  readonly cursor: string | undefined
  /** "10m" for time, "1000" for numbers. */
  readonly lag: string | undefined
}

export type Schedule = {
  readonly cron: string | undefined
  readonly everyMs: number | undefined
  readonly tz: string
  readonly overlap: 'skip' | 'queue'
  readonly catchup: boolean
  readonly jitterMs: number
}

export type TableOptions = {
  readonly exclude: readonly string[]
  readonly shardBy: ShardBy | undefined
  readonly write: Write | undefined
  /** Column → type, over what the source says: "timestamp", "decimal(10,2)", "string" … */
  readonly types: { readonly [column: string]: string }
}

export type Pipeline = {
  readonly name: string
  readonly source: SourceConfig
  readonly mode: 'full' | 'incremental'
  readonly shardBy: ShardBy
  readonly schedule: Schedule | undefined
  /** Label → value that a worker must carry. */
  readonly placement: { readonly [label: string]: string }
  readonly destination: string
  readonly write: Write
  readonly partitionBy: readonly PartitionField[]
  readonly schema: SchemaPolicy
  readonly types: { readonly [column: string]: string }
  readonly tables: { readonly [sourceTable: string]: TableOptions }
  readonly quarantine: { readonly rowsMax: number; readonly ratioMax: number }
  readonly retries: Backoff
  readonly memoryBytes: number
  readonly limits: {
    readonly concurrency: number
    readonly requestsPerHour: number | undefined
    readonly requestsPerSecond: number | undefined
  }
}

export type SourceConfig = PostgresSource | HttpSource | FileSource | OtherSource

export type PostgresSource = {
  readonly type: 'postgres'
  readonly url: Reference
  /** Patterns with * and leading ! for exclusion: "public.*", "!public.tmp_*". */
  readonly tables: readonly string[]
}

export type HttpPaging =
  | { readonly kind: 'none' }
  /** RFC 8288 Link header, rel="next". */
  | { readonly kind: 'link' }
  /** JSON pointer to the next cursor, sent as query parameter `param`. */
  | { readonly kind: 'cursor'; readonly next: string; readonly param: string }
  /** JSON pointer to the next url (absolute or relative). */
  | { readonly kind: 'next-url'; readonly next: string }
  | {
      readonly kind: 'offset'
      readonly param: string
      readonly limitParam: string
      readonly limit: number
    }
  | {
      readonly kind: 'page'
      readonly param: string
      readonly first: number
      readonly sizeParam: string | undefined
      readonly size: number | undefined
    }

export type HttpAuth =
  | { readonly kind: 'bearer'; readonly token: Reference }
  | { readonly kind: 'basic'; readonly username: Reference; readonly password: Reference }
  | { readonly kind: 'header'; readonly name: string; readonly value: Reference }
  | { readonly kind: 'query'; readonly name: string; readonly value: Reference }

export type HttpStream = {
  /** Source table name. */
  readonly name: string
  /** Relative to `base`; `{name}` placeholders are filled from `each`. */
  readonly path: string
  readonly query: { readonly [name: string]: string }
  readonly headers: { readonly [name: string]: Reference }
  /** JSON pointer to the array of records; "" is the body itself. */
  readonly records: string
  readonly paging: HttpPaging
  readonly key: readonly string[]
  /** One shard a combination: {repo = ["a","b"]}; values appear as extra columns. */
  readonly each: { readonly [placeholder: string]: readonly string[] }
  /** Query parameter that carries the incremental cursor value. */
  readonly cursorParam: string | undefined
}

export type HttpSource = {
  readonly type: 'http'
  readonly base: Reference
  readonly auth: HttpAuth | undefined
  readonly headers: { readonly [name: string]: Reference }
  readonly streams: readonly HttpStream[]
  readonly timeoutMs: number
  /** Send If-None-Match / If-Modified-Since and skip pages that did not change. */
  readonly conditional: boolean
  readonly bodyBytesMax: number
}

export type FileSource = {
  readonly type: 'file'
  /** Folder-relative or absolute globs, or s3://bucket/prefix/*.csv. */
  readonly paths: readonly string[]
  readonly endpoint: Reference | undefined
  readonly region: string
  readonly credentials: Credentials | undefined
  /** By file ending when not given. */
  readonly format: 'csv' | 'ndjson' | 'json' | 'parquet' | undefined
  readonly table: string | undefined
  readonly csv: {
    readonly delimiter: string
    readonly quote: string
    readonly header: boolean
    readonly columns: readonly string[] | undefined
    readonly nullText: string
  }
  /** JSON files: pointer to the array of records. */
  readonly records: string
}

/** Sources that come with later connectors; kept as written. */
export type OtherSource = { readonly type: 'github' | 'wasm'; readonly options: Json }
