/**
 * The connector port. A connector turns one shard of a source, from a cursor on, into a stream of
 * bytes in a known row format. It never sees the catalog, the bucket or a table schema, and resolves
 * secrets only through the host.
 *
 * Contract, held by test/conformance/connector-suite.ts:
 * - Reading a shard from cursor c gives exactly the rows that come after c, in an order that two reads
 *   of an unchanged source share.
 * - A cursor stands behind its rows: it is attached to the event that ends with the last row it covers.
 * - Between two cursors the host may lose everything it read, and will read it again.
 * - A connector stops promptly when `signal` fires and leaves nothing open.
 */
import type { SourceColumn } from '../lib/column.ts'
import type { Json } from '../lib/json.ts'
import type { Clock, Logger, Random } from '../lib/ports.ts'

export type ConnectorContext = {
  /** Resolves `env:X`, `file:/p`, `secret://n`; other text is returned as it is. */
  readonly resolve: (reference: string) => Promise<string>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly signal: AbortSignal
  /** Folder that relative file paths of the manifest start from. */
  readonly baseFolder: string
  /** Bytes that one `rows` event should hold at the most, unless one row is larger. */
  readonly chunkBytesMax: number
  /** Opens a bucket url (s3://…, folder) for sources that read files; the host knows the credentials. */
  readonly openBucket: (url: string) => Promise<SourceBucket>
  /** Counts requests, retries and the like for the run's summary. */
  readonly count: (what: 'requests' | 'notModified' | 'retries', by: number) => void
  /**
   * Resolves when a request may be sent, as far as limits beyond this connector go; asked before each
   * one, tries again included. Absent: there are none.
   */
  readonly admit?: (signal: AbortSignal) => Promise<void>
  /** The source asked to wait for so long (status 429): whoever shares its limit should know. */
  readonly slowDown?: (waitMs: number) => void
}

/** The little of an object store that a file source needs. */
export type SourceBucket = {
  list(
    prefix: string,
  ): AsyncIterable<{ readonly key: string; readonly bytes: number; readonly etag: string }>
  /** Bytes [start, end) of an object. */
  read(key: string, start: number, end: number): Promise<Uint8Array>
}

/** One table as the source offers it. */
export type SourceTable = {
  /** The source's name for it, e.g. "public.orders". */
  readonly name: string
  /** Known columns; undefined when only the data will tell (JSON). */
  readonly columns: readonly SourceColumn[] | undefined
  readonly key: readonly string[]
  /** Rows, when the source has a cheap estimate. */
  readonly rowsEstimate: number | undefined
}

export type Finding = {
  readonly severity: 'ok' | 'warn' | 'error'
  readonly message: string
  readonly suggestion?: string
}

/** A unit of work: one table, or a part of one, that one worker reads at a time. */
export type SourceShard = {
  /** Stable over runs; [A-Za-z0-9._:=/-]. */
  readonly id: string
  /** SourceTable.name that it feeds. */
  readonly table: string
  /** Anything the connector needs to find the same part again. */
  readonly spec: Json
  readonly rowsEstimate: number | undefined
}

/** How to read: everything, or only what came after the cursor. */
export type ReadMode =
  | { readonly kind: 'full' }
  /** Rows by a growing column. `lagMs`/`lag`: see ReadLag. */
  | { readonly kind: 'incremental'; readonly column: string; readonly lag: ReadLag | undefined }
  /** Incremental, but only column values in [from, to). */
  | { readonly kind: 'range'; readonly column: string; readonly from: string; readonly to: string }

/**
 * A window for rows that become visible late. `hold-back` leaves rows younger than the window for the
 * next run (append: nothing twice); `re-read` starts that much before the cursor (upsert: merged by key).
 */
export type ReadLag = { readonly kind: 'hold-back' | 're-read'; readonly amount: string }

export type OpenRequest = {
  readonly shard: { readonly id: string; readonly table: string; readonly spec: Json }
  readonly mode: ReadMode
  /** Null: from the beginning. */
  readonly cursor: Json
  /** Connector state of this shard as last committed (e.g. ETags). */
  readonly state: { readonly [key: string]: Json }
}

/**
 * csv: no header, comma, double quotes doubled, empty unquoted = null, columns as in the last schema
 * event; binary as \x hex. ndjson: one JSON object per line. Both UTF-8, whole rows, newline at the end.
 */
export type RowFormat = 'csv' | 'ndjson'

export type SourceEvent =
  /** Exact columns, before the first csv row and whenever they change; ndjson sources may omit it. */
  | { readonly kind: 'schema'; readonly columns: readonly SourceColumn[] }
  | {
      readonly kind: 'rows'
      readonly format: RowFormat
      readonly bytes: Uint8Array
      readonly rows: number
      /** A safe point to resume after these rows; undefined when there is none yet. */
      readonly cursor: Json | undefined
      /** State to keep from here on (null deletes a key); committed with the cursor. */
      readonly state?: { readonly [key: string]: Json }
    }
  /** Rows [from, from + rows) of a local Parquet file, read by the encoder itself. */
  | {
      readonly kind: 'parquet'
      readonly path: string
      readonly from: number
      readonly rows: number
      readonly bytes: number
      readonly cursor: Json
      /** Called when the host no longer needs the file. */
      readonly release: () => Promise<void>
    }
  /** Progress without rows: an empty page, a 304. */
  | {
      readonly kind: 'progress'
      readonly cursor: Json | undefined
      readonly state?: { readonly [key: string]: Json }
    }
  /** A row that the connector itself could not read; goes to quarantine. */
  | { readonly kind: 'reject'; readonly raw: string; readonly reason: string }

export type Connector = {
  /** The `type` in hakiri.toml. */
  readonly type: string
  /** Every table of the source that the configuration selects. */
  describe(context: ConnectorContext): Promise<readonly SourceTable[]>
  /** Can it be reached, are the rights there; never throws for an operating condition. */
  check(context: ConnectorContext): Promise<readonly Finding[]>
  /** Cuts the selected tables into shards; `known` are those of earlier runs, whose specs stand. */
  shards(context: ConnectorContext, known: readonly SourceShard[]): Promise<readonly SourceShard[]>
  /** False when a full read of this shard cannot be resumed mid-way (no key to order by). */
  open(context: ConnectorContext, request: OpenRequest): AsyncIterable<SourceEvent>
}
