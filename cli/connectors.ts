/** One line for each connector of this build. */
import type { SourceConfig } from '../manifest/manifest.ts'

export const CONNECTOR_SUMMARIES: Readonly<
  Record<Exclude<SourceConfig['type'], 'github' | 'wasm'>, string>
> = {
  postgres: 'Postgres tables, in full or by a growing column, over COPY',
  http: 'JSON APIs, paged by link, cursor, offset or page number',
  file: 'CSV, NDJSON, JSON and Parquet files by glob, from a folder or a bucket',
}
