/**
 * Turns a checked raw manifest into the typed one: merges [defaults], fills in what was left out, turns
 * sizes and durations into numbers. Pure; relies on every check having passed.
 */
import { assert } from '../lib/assert.ts'
import { DEFAULT_BACKOFF, type Backoff } from '../lib/backoff.ts'
import { DEFAULT_SCHEMA_POLICY } from '../lib/policy.ts'
import { parseBytes, parseDuration } from '../lib/units.ts'
import { fillCredentials, fillSource } from './fill-source.ts'
import type { Destination, Pipeline, Schedule, ShardBy, TableOptions, Write } from './manifest.ts'
import { parsePartition } from './partition.ts'
import type { RawDestination, RawPipeline, RawShardBy, RawTable, RawWrite } from './schema.ts'

export const CATALOG_DEFAULT = 'sqlite:.hakiri/catalog.db'

/** Durations and sizes have passed the schema's format, so that they always parse. */
function toMs(text: string): number {
  const ms = parseDuration(text)
  assert(ms !== undefined, `a duration passed the schema but does not parse: ${text}`)
  return ms
}

function toBytes(text: string): number {
  const bytes = parseBytes(text)
  assert(bytes !== undefined, `a size passed the schema but does not parse: ${text}`)
  return bytes
}

/** `merged` already holds what [defaults] add, and a destination. */
export function fillPipeline(name: string, merged: RawPipeline, destination: string): Pipeline {
  const source = fillSource(merged.source)
  const mode = modeOf(merged) === 'incremental' ? 'incremental' : 'full'
  const { concurrency = 4, requests_per_hour, requests_per_second } = merged.limits ?? {}
  const tables = Object.entries(merged.table ?? {}).map(
    ([table, options]) => [table, fillTable(options, merged)] as const,
  )
  return {
    name,
    source,
    mode,
    destination,
    shardBy: fillShardBy(merged.shard_by ?? 'pipeline'),
    schedule: merged.schedule && fillSchedule(merged.schedule),
    placement: merged.placement ?? {},
    write: fillWrite(merged.write ?? {}, merged),
    partitionBy: (merged.partition_by ?? []).map((text) => parsePartition(text)!),
    schema: {
      tables: merged.schema?.tables ?? DEFAULT_SCHEMA_POLICY.tables,
      columns: merged.schema?.columns ?? DEFAULT_SCHEMA_POLICY.columns,
      types: merged.schema?.types ?? DEFAULT_SCHEMA_POLICY.types,
    },
    types: fillTypes(merged.types),
    tables: Object.fromEntries(tables),
    quarantine: {
      rowsMax: merged.quarantine?.max_rows ?? 1000,
      ratioMax: merged.quarantine?.max_ratio ?? 0.001,
    },
    retries: fillRetries(merged.retries),
    memoryBytes: toBytes(merged.memory ?? '512MB'),
    limits: {
      concurrency,
      requestsPerHour: requests_per_hour,
      requestsPerSecond: requests_per_second,
    },
  }
}

/** A cursor asks for incremental reads unless `mode` says otherwise. */
export function modeOf(raw: RawPipeline): 'full' | 'incremental' | 'cdc' {
  return raw.mode ?? (raw.write?.cursor === undefined ? 'full' : 'incremental')
}

/** A full load replaces the table; an incremental one merges where a key is known, else appends. */
export function writeModeOf(write: RawWrite, raw: RawPipeline): NonNullable<RawWrite['mode']> {
  if (write.mode !== undefined) return write.mode
  if (modeOf(raw) === 'full') return 'replace'
  return write.key !== undefined || hasSourceKey(raw) ? 'upsert' : 'append'
}

/** Whether the source itself says what identifies a row. */
export function hasSourceKey({ source }: RawPipeline): boolean {
  if (source.type === 'http') return Object.values(source.streams).every((stream) => stream.key)
  return source.type === 'postgres'
}

function fillWrite(write: RawWrite, raw: RawPipeline): Write {
  const mode = writeModeOf(write, raw)
  assert(mode !== 'changelog', 'changelog passed the checks')
  const lag = write.lag === undefined ? undefined : String(write.lag)
  return { mode, key: write.key ?? [], cursor: write.cursor, lag }
}

function fillShardBy(raw: RawShardBy): ShardBy {
  if (typeof raw === 'object') return { kind: 'range', key: raw.key, ranges: raw.ranges }
  if (raw === 'pipeline' || raw === 'table' || raw === 'file') return { kind: raw }
  return { kind: 'named', name: raw }
}

function fillTable(raw: RawTable, pipeline: RawPipeline): TableOptions {
  return {
    exclude: raw.exclude ?? [],
    shardBy: raw.shard_by === undefined ? undefined : fillShardBy(raw.shard_by),
    write: raw.write && fillWrite(tableWrite(pipeline, raw.write), pipeline),
    types: fillTypes(raw.types),
  }
}

/** What a table's own `write` means beside the pipeline's. */
export function tableWrite(pipeline: RawPipeline, own: RawWrite): RawWrite {
  return { ...pipeline.write, ...own }
}

function fillTypes(raw: RawPipeline['types']): { readonly [column: string]: string } {
  const entries = Object.entries(raw ?? {})
  return Object.fromEntries(entries.map(([column, type]) => [column, type.replaceAll(' ', '')]))
}

function fillSchedule(raw: NonNullable<RawPipeline['schedule']>): Schedule {
  return {
    cron: raw.cron,
    everyMs: raw.every === undefined ? undefined : toMs(raw.every),
    tz: raw.tz ?? 'UTC',
    overlap: raw.overlap ?? 'skip',
    catchup: raw.catchup ?? false,
    jitterMs: toMs(raw.jitter ?? '0s'),
  }
}

function fillRetries(raw: RawPipeline['retries']): Backoff {
  const [first, most] = raw?.backoff?.split('..') ?? []
  return {
    retriesMax: raw?.max ?? DEFAULT_BACKOFF.retriesMax,
    firstMs: first === undefined ? DEFAULT_BACKOFF.firstMs : toMs(first),
    mostMs: most === undefined ? DEFAULT_BACKOFF.mostMs : toMs(most),
  }
}

export function fillDestination(name: string, raw: RawDestination): Destination {
  return {
    name,
    type: raw.type,
    url: raw.url,
    endpoint: raw.endpoint,
    format: 'delta',
    region: raw.region ?? 'us-east-1',
    credentials: fillCredentials(raw.credentials),
    publishIntervalMs: toMs(raw.publish_interval ?? '30s'),
    files: {
      targetBytes: toBytes(raw.files?.target_size ?? '192MB'),
      openMsMax: toMs(raw.files?.max_open_time ?? '5m'),
      compactMinFiles: raw.files?.compact?.min_files ?? 16,
      compactCron: raw.files?.compact?.schedule,
      retainMs: toMs(raw.files?.compact?.retain ?? '7d'),
    },
  }
}
