/** What the file connector is told: where files lie and what is in them. */
import { HakiriError } from '../../../lib/error.ts'

export type FileFormat = 'csv' | 'ndjson' | 'json' | 'parquet'

export type CsvConfig = {
  readonly delimiter: string
  /** "" when fields are never quoted. */
  readonly quote: string
  readonly header: boolean
  /** Names over those of the header. */
  readonly columns: readonly string[] | undefined
  /** Unquoted text that means null; when it is not "", an empty field is an empty string. */
  readonly nullText: string
}

export type FileConfig = {
  /** Folder-relative or absolute globs, or s3://bucket/prefix/*.csv. */
  readonly paths: readonly string[]
  /** By file ending when not given. */
  readonly format: FileFormat | undefined
  /** Name of the one table that all files feed. */
  readonly table: string | undefined
  readonly csv: CsvConfig
  /** JSON files: pointer to the list of records. */
  readonly records: string
  /** "file" makes a shard of each file; anything else one shard of all, in order of their names. */
  readonly shardBy?: { readonly kind: string } | undefined
  /** CSV column → column type, over what the first rows look like. */
  readonly types?: { readonly [column: string]: string } | undefined
  /**
   * A file that was read and then changed: refused (rows would come twice), or read again from its
   * start (for tables that merge by key). Default refused.
   */
  readonly changed?: 'refuse' | 'reread' | undefined
  /** A part of a Parquet file that is handed on at once, before compression. Default 64 MB. */
  readonly parquetBytesMax?: number | undefined
  /** A single row may be this large. Default 64 MB. */
  readonly rowBytesMax?: number | undefined
}

export const PARQUET_BYTES = 64_000_000
export const ROW_BYTES = 64_000_000

export function tableOf(config: FileConfig): string {
  return config.table ?? 'files'
}

export type Compression = 'none' | 'gzip' | 'zstd'

/** How to read one file. */
export type FileKind = {
  readonly format: FileFormat
  readonly compression: Compression
  /** ".tsv": the delimiter is a tab unless another one is configured. */
  readonly tabs: boolean
}

const ENDINGS: Readonly<Record<string, FileFormat>> = {
  csv: 'csv',
  tsv: 'csv',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  json: 'json',
  geojson: 'json',
  parquet: 'parquet',
}
const COMPRESSIONS: Readonly<Record<string, Compression>> = {
  gz: 'gzip',
  gzip: 'gzip',
  zst: 'zstd',
  zstd: 'zstd',
}

/** Format and compression of a file, by its name and the configuration. */
export function kindOf(name: string, config: FileConfig): FileKind {
  const endings = name.toLowerCase().split('/').at(-1)!.split('.').slice(1)
  const compression = COMPRESSIONS[endings.at(-1) ?? ''] ?? 'none'
  const ending = compression === 'none' ? endings.at(-1) : endings.at(-2)
  const format = config.format ?? ENDINGS[ending ?? '']
  if (format === undefined) {
    throw new HakiriError('CONFIG_INVALID', `the ending of ${name} does not tell its format`, {
      suggestion: 'Set format = "csv", "ndjson", "json" or "parquet" in the source.',
    })
  }
  if (format === 'parquet' && compression !== 'none') {
    throw new HakiriError('CONFIG_INVALID', `${name} is a compressed Parquet file`, {
      suggestion: 'Unpack it: Parquet compresses by itself.',
    })
  }
  return { format, compression, tabs: ending === 'tsv' }
}
