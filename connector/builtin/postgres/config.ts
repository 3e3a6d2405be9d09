/** What a Postgres source is told: a structural twin of the manifest's section, so that nothing is imported from there. */

export type PostgresShardBy =
  | { readonly kind: 'pipeline' }
  | { readonly kind: 'table' }
  | { readonly kind: 'file' }
  /** Parts of one big table, by ranges of an orderable column. */
  | { readonly kind: 'range'; readonly key: string; readonly ranges: number }
  | { readonly kind: 'named'; readonly name: string }

export type PostgresTableOptions = {
  /** Columns that are not read. */
  readonly exclude?: readonly string[]
  readonly shardBy?: PostgresShardBy | undefined
  /** Key to announce in place of the table's own. */
  readonly key?: readonly string[]
  /** Over the source's `cursor`. */
  readonly cursor?: string | undefined
}

export type PostgresConfig = {
  readonly type: 'postgres'
  /** postgres://… or a reference to one. */
  readonly url: string
  /** "public.*", "!public.tmp_*", "orders" (schema public when there is no dot). */
  readonly tables: readonly string[]
  readonly shardBy?: PostgresShardBy | undefined
  /** Column that incremental reads go by; used by `check` alone, a read is told its column. */
  readonly cursor?: string | undefined
  /** By table name as in `tables`, without wildcards. */
  readonly perTable?: { readonly [table: string]: PostgresTableOptions }
}

export type PostgresOptions = {
  /** A row of more bytes than this is refused. */
  readonly rowBytesMax: number
  readonly connectTimeoutMs: number
  /** How long a read waits for a lock that a migration holds. */
  readonly lockTimeoutMs: number
  /** Rows that a table's ranges are estimated from. */
  readonly sampleRows: number
}

export const DEFAULT_POSTGRES_OPTIONS: PostgresOptions = {
  rowBytesMax: 64 * 2 ** 20,
  connectTimeoutMs: 15_000,
  lockTimeoutMs: 300_000,
  sampleRows: 50_000,
}
