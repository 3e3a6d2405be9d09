/**
 * The actions of a table log, one JSON object a line, as this writer makes them (protocol: reader 1,
 * writer 2). Keys are sorted, so that equal actions are equal bytes.
 */
import type { DataFile, LiveFile, RemovedFile, ShardTxn, TableRow } from '../../catalog/catalog.ts'
import { assert } from '../../lib/assert.ts'
import { stableStringify, type Json } from '../../lib/json.ts'
import { appId } from './app-id.ts'
import { schemaString } from './schema-json.ts'

/** Lowest protocol that every reader knows; feature lists must be absent at these versions. */
export const READER_VERSION = 1
export const WRITER_VERSION = 2

/** Keys of the table configuration that a rebuild reads. */
export const CONFIG = {
  table: 'hakiri.table',
  destination: 'hakiri.destination',
  mode: 'hakiri.mode',
  key: 'hakiri.key',
  partition: 'hakiri.partition',
  revision: 'hakiri.schemaRevision',
} as const

/** Keys of a file's tags that a rebuild reads. */
export const TAG = {
  pipeline: 'hakiri.pipeline',
  shard: 'hakiri.shard',
  generation: 'hakiri.generation',
  revision: 'hakiri.schemaRevision',
} as const

export function protocolAction(): string {
  return stableStringify({
    protocol: { minReaderVersion: READER_VERSION, minWriterVersion: WRITER_VERSION },
  })
}

/** The whole metadata each time: a later one replaces an earlier one altogether. */
export function metaDataAction(table: TableRow): string {
  const names = new Set(table.columns.map((column) => column.name))
  const missing = table.partitionBy.find((column) => !names.has(column))
  assert(missing === undefined, `partition column ${missing} is not in the schema of ${table.name}`)
  return stableStringify({
    metaData: {
      id: table.uuid,
      name: table.name,
      format: { provider: 'parquet', options: {} },
      schemaString: schemaString(table.columns, table.mode),
      partitionColumns: table.partitionBy,
      configuration: {
        [CONFIG.table]: table.name,
        [CONFIG.destination]: table.destination,
        [CONFIG.mode]: table.mode,
        [CONFIG.key]: JSON.stringify(table.key),
        [CONFIG.partition]: JSON.stringify(table.partitionBy),
        [CONFIG.revision]: String(table.schemaRevision),
      },
    },
  })
}

export type AddFacts = Omit<LiveFile, 'version'>

export function addAction(
  file: AddFacts,
  partitionBy: readonly string[],
  modificationTime: number,
  dataChange: boolean,
): string {
  return stableStringify({
    add: {
      path: encodePath(file.path),
      partitionValues: partitionValues(file.partition, partitionBy),
      size: file.bytes,
      modificationTime,
      dataChange,
      stats: file.stats,
      tags: {
        [TAG.pipeline]: file.pipeline,
        [TAG.shard]: file.shard,
        [TAG.generation]: String(file.generation),
        [TAG.revision]: String(file.schemaRevision),
      },
    },
  })
}

export function removeAction(
  file: Pick<RemovedFile, 'path' | 'bytes' | 'partition' | 'removedAt'>,
  partitionBy: readonly string[],
  dataChange: boolean,
): string {
  return stableStringify({
    remove: {
      path: encodePath(file.path),
      deletionTimestamp: file.removedAt,
      dataChange,
      extendedFileMetadata: true,
      partitionValues: partitionValues(file.partition, partitionBy),
      size: file.bytes,
    },
  })
}

/** A remove of a file of which nothing but the path is known. */
export function bareRemoveAction(path: string, deletionTimestamp: number, dataChange: boolean) {
  return stableStringify({ remove: { path: encodePath(path), deletionTimestamp, dataChange } })
}

export function txnAction(catalogId: string, txn: ShardTxn, lastUpdated: number): string {
  const id = appId(catalogId, txn.pipeline, txn.shard)
  return stableStringify({ txn: { appId: id, version: txn.seq, lastUpdated } })
}

/** Paths in a log are URI-encoded: the `%` of a partition's folder becomes `%25`. */
function encodePath(path: string): string {
  return path
    .split('/')
    .map((part) => encodeURIComponent(part).replaceAll('%3D', '='))
    .join('/')
}

/** All partition columns and nothing else. */
function partitionValues(partition: DataFile['partition'], partitionBy: readonly string[]): Json {
  return Object.fromEntries(partitionBy.map((column) => [column, partition[column] ?? null]))
}
