/** What files a table has: those that readers see, those that were removed, and all that are known. */
import type { Catalog, DataFile, LiveFile, RemovedFile, ShardTxn } from './catalog.ts'
import { type Engine, jsonOf, numberOf, type Row, rowsIn, textOf } from './sql.ts'

type FileMethods = Pick<
  Catalog,
  'liveFiles' | 'removedFiles' | 'forgetRemoved' | 'publishedTxns' | 'knownPaths'
>

export function fileMethods(engine: Engine): FileMethods {
  return {
    liveFiles: (table) =>
      engine.read(async (sql) => {
        const rows = await sql.rows(
          `select f.*, l.created_at as added_at from table_file as f
           left join table_log as l on l.table_name = f.table_name and l.version = f.version
           where f.table_name = ? and f.version is not null and f.removed_at is null
           order by f.version, f.commit_id, f.ordinal, f.path`,
          table,
        )
        return rows.map(toLiveFile)
      }),
    removedFiles: (table, sinceMs) =>
      engine.read(async (sql) => {
        const rows = await sql.rows(
          'select * from table_file where table_name = ? and removed_at >= ? order by removed_at, path',
          table,
          sinceMs,
        )
        return rows.map(toRemovedFile)
      }),
    forgetRemoved: (table, paths) =>
      engine.write(async (sql) => {
        const text = `delete from table_file where table_name = ? and removed_at is not null
          and path in (…) returning path`
        await rowsIn(sql, text, [table], paths)
      }),
    publishedTxns: (table) =>
      engine.read(async (sql) => {
        const text = 'select * from table_txn where table_name = ? order by pipeline, shard'
        return (await sql.rows(text, table)).map(toTxn)
      }),
    knownPaths: (table, paths) =>
      engine.read(async (sql) => {
        const text = 'select path from table_file where table_name = ? and path in (…)'
        return new Set((await rowsIn(sql, text, [table], paths)).map((row) => textOf(row, 'path')))
      }),
  }
}

export function toDataFile(row: Row): DataFile {
  return {
    path: textOf(row, 'path'),
    bytes: numberOf(row, 'bytes'),
    rows: numberOf(row, 'row_count'),
    stats: textOf(row, 'stats'),
    partition: jsonOf<DataFile['partition']>(row, 'partition_values'),
    schemaRevision: numberOf(row, 'schema_revision'),
  }
}

export function toLiveFile(row: Row): LiveFile {
  const addedAt = row['added_at']
  return {
    ...toDataFile(row),
    generation: numberOf(row, 'generation'),
    version: numberOf(row, 'version'),
    pipeline: textOf(row, 'pipeline'),
    shard: textOf(row, 'shard'),
    ...(typeof addedAt === 'number' ? { addedAt } : {}),
  }
}

function toRemovedFile(row: Row): RemovedFile {
  return {
    path: textOf(row, 'path'),
    bytes: numberOf(row, 'bytes'),
    partition: jsonOf<RemovedFile['partition']>(row, 'partition_values'),
    version: numberOf(row, 'removed_version'),
    removedAt: numberOf(row, 'removed_at'),
  }
}

function toTxn(row: Row): ShardTxn {
  return {
    pipeline: textOf(row, 'pipeline'),
    shard: textOf(row, 'shard'),
    seq: numberOf(row, 'seq'),
  }
}
