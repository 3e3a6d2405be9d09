/**
 * Publishing: pending commits become the next version of a table's log, inside the catalog first. The
 * object in the bucket is written afterwards from the stored body, so writing it again gives the same
 * bytes.
 */
import { assert } from '../lib/assert.ts'
import type {
  Catalog,
  DataFile,
  FoldInput,
  LogEntry,
  PendingCommit,
  PublishOutcome,
} from './catalog.ts'
import { toDataFile, toLiveFile } from './files.ts'
import {
  booleanOf,
  type CatalogDeps,
  type Engine,
  insertRows,
  jsonOf,
  numberOf,
  numberOrNull,
  type Row,
  type Sql,
  textOf,
} from './sql.ts'
import { needTable, toTable } from './tables.ts'

type PublishMethods = Pick<
  Catalog,
  | 'acquirePublisher'
  | 'preparePublish'
  | 'unpublished'
  | 'markPublished'
  | 'logEntries'
  | 'hasPending'
>

/** Published commits are kept for this many versions; the files they brought stay known. */
const HISTORY_VERSIONS = 1_000

export function publishMethods(engine: Engine, deps: CatalogDeps): PublishMethods {
  return {
    acquirePublisher: (table) =>
      engine.write(async (sql) => {
        await needTable(sql, table, 'no key update')
        const [row] = await sql.rows(
          `update data_table set publish_epoch = publish_epoch + 1 where name = ?
           returning publish_epoch`,
          table,
        )
        return numberOf(row!, 'publish_epoch')
      }),
    preparePublish: (table, epoch, pendingMax, fold) => {
      assert(pendingMax >= 1, 'a version needs room for one commit')
      return engine.write((sql) => prepare(sql, deps, { table, epoch, pendingMax, fold }))
    },
    unpublished: (table) =>
      engine.read(async (sql) => {
        const where = 'table_name = ? and published_at is null'
        const rows = await sql.rows(
          `select * from table_log where ${where} order by version`,
          table,
        )
        return rows.map(toLogEntry)
      }),
    markPublished: (table, version) =>
      engine.write(async (sql) => {
        await sql.run(
          `update table_log set published_at = ?
           where table_name = ? and version = ? and published_at is null`,
          deps.clock.now(),
          table,
          version,
        )
        // A run that is finishing waits for it.
        sql.wake('runs')
      }),
    logEntries: (table, limit) =>
      engine.read(async (sql) => {
        const text = 'select * from table_log where table_name = ? order by version desc limit ?'
        return (await sql.rows(text, table, limit)).map(toLogEntry)
      }),
    hasPending: (table) =>
      engine.read(async (sql) => {
        const row = await needTable(sql, table)
        return isSwitching(row) || (await hasPendingFiles(sql, row))
      }),
  }
}

type Request = {
  readonly table: string
  readonly epoch: number
  readonly pendingMax: number
  readonly fold: (input: FoldInput) => string
}

async function prepare(sql: Sql, deps: CatalogDeps, request: Request): Promise<PublishOutcome> {
  const row = await needTable(sql, request.table, 'no key update')
  if (numberOf(row, 'publish_epoch') !== request.epoch) return { kind: 'fenced' }
  const switching = isSwitching(row)
  const last = switching ? Number.MAX_SAFE_INTEGER : await lastToFold(sql, row, request.pendingMax)
  if (last === undefined) return { kind: 'nothing' }

  const version = numberOf(row, 'next_version')
  const now = await timeOfVersion(sql, deps, request.table, version)
  await claimCommits(sql, row, version, last)
  const pending = await readClaimed(sql, request.table, version)
  const catalog = await sql.rows(`select value from meta where key = 'catalog_id'`)
  const body = request.fold({
    catalogId: textOf(catalog[0]!, 'value'),
    table: toTable(row),
    version,
    now,
    pending,
    removing: await readRemoving(sql, request.table, version),
    schemaChanged: row['published_revision'] !== row['schema_revision'],
    replaced: switching ? await readReplaced(sql, row) : [],
  })
  const entry: LogEntry = { table: request.table, version, body, publishedAt: null, createdAt: now }
  await storeVersion(sql, row, entry, pending)
  return { kind: 'prepared', entry, more: await hasPendingFiles(sql, row) }
}

/** True when the newest version shows an older generation than the one that was sealed since. */
function isSwitching(table: Row): boolean {
  const published = numberOrNull(table, 'published_generation')
  return published !== null && published !== numberOf(table, 'generation')
}

async function hasPendingFiles(sql: Sql, table: Row): Promise<boolean> {
  return (await pendingWithFiles(sql, table, 1)).length > 0
}

/** Commits without files wait for one that has some: alone they are not worth a version. */
async function pendingWithFiles(sql: Sql, table: Row, limit: number): Promise<readonly number[]> {
  const rows = await sql.rows(
    `select id from table_commit
     where table_name = ? and generation = ? and version is null and files > 0 order by id limit ?`,
    textOf(table, 'name'),
    numberOf(table, 'generation'),
    limit,
  )
  return rows.map((row) => numberOf(row, 'id'))
}

/**
 * The last commit that goes into this version; undefined when there is none. A commit that removes a
 * file which is itself still pending waits for the version after: one version may not add and remove
 * the same path. The remover's id is always above that of the commit which added the file.
 */
async function lastToFold(sql: Sql, table: Row, pendingMax: number): Promise<number | undefined> {
  const last = (await pendingWithFiles(sql, table, pendingMax)).at(-1)
  if (last === undefined) return undefined
  const [row] = await sql.rows(
    `select min(removed_by) as remover from table_file
     where table_name = ? and generation = ? and version is null and removed_by is not null`,
    textOf(table, 'name'),
    numberOf(table, 'generation'),
  )
  const remover = row && numberOrNull(row, 'remover')
  return remover ? Math.min(last, remover - 1) : last
}

/** Versions are in order of time even when the clocks of two publishers are not. */
async function timeOfVersion(
  sql: Sql,
  deps: CatalogDeps,
  table: string,
  version: number,
): Promise<number> {
  const [previous] = await sql.rows(
    'select created_at from table_log where table_name = ? and version = ?',
    table,
    version - 1,
  )
  return Math.max(deps.clock.now(), previous ? numberOf(previous, 'created_at') : 0)
}

/**
 * Fixes the set of commits before anything is read of them: a commit with a smaller id may still
 * become visible while we work, and belongs to a later version then. The commits of a group go where
 * the one with its file goes, which has the highest id of them.
 */
async function claimCommits(sql: Sql, table: Row, version: number, last: number): Promise<void> {
  await sql.run(
    `update table_commit set version = ?
     where table_name = ? and generation = ? and version is null and id <= ?
       and (fold_id is null or fold_id <= ?)`,
    version,
    textOf(table, 'name'),
    numberOf(table, 'generation'),
    last,
    last,
  )
}

const CLAIMED = '(select id from table_commit where table_name = ? and version = ?)'

async function readClaimed(
  sql: Sql,
  table: string,
  version: number,
): Promise<readonly PendingCommit[]> {
  const commits = await sql.rows(
    `select c.*, s.spec from table_commit as c
     left join shard as s on s.pipeline = c.pipeline and s.shard = c.shard
     where c.table_name = ? and c.version = ? order by c.id`,
    table,
    version,
  )
  const added = await sql.rows(
    `select * from table_file where commit_id in ${CLAIMED} order by commit_id, ordinal`,
    table,
    version,
  )
  const removed = await sql.rows(
    `select path, removed_by from table_file where removed_by in ${CLAIMED}
     order by removed_by, path`,
    table,
    version,
  )
  const adds = Map.groupBy(added, (row) => numberOf(row, 'commit_id'))
  const removes = Map.groupBy(removed, (row) => numberOf(row, 'removed_by'))
  return commits.map((row) => {
    const id = numberOf(row, 'id')
    return toPending(
      row,
      (adds.get(id) ?? []).map(toDataFile),
      (removes.get(id) ?? []).map((file) => textOf(file, 'path')),
    )
  })
}

function toPending(row: Row, adds: readonly DataFile[], removes: readonly string[]): PendingCommit {
  return {
    id: numberOf(row, 'id'),
    pipeline: textOf(row, 'pipeline'),
    shard: textOf(row, 'shard'),
    seq: numberOf(row, 'seq'),
    epoch: numberOf(row, 'epoch'),
    runId: numberOf(row, 'run_id'),
    generation: numberOf(row, 'generation'),
    cursor: jsonOf(row, 'cursor'),
    done: booleanOf(row, 'done'),
    spec: jsonOf(row, 'spec'),
    dataChange: booleanOf(row, 'data_change'),
    adds,
    removes,
  }
}

/** The live files that the claimed commits take away. */
async function readRemoving(
  sql: Sql,
  table: string,
  version: number,
): Promise<NonNullable<FoldInput['removing']>> {
  const rows = await sql.rows(
    `select * from table_file where removed_by in ${CLAIMED} and version is not null order by path`,
    table,
    version,
  )
  return rows.map(toLiveFile)
}

const OLDER_LIVE =
  'table_name = ? and generation <> ? and version is not null and removed_at is null'

async function readReplaced(sql: Sql, table: Row): Promise<FoldInput['replaced']> {
  const rows = await sql.rows(
    `select * from table_file where ${OLDER_LIVE} order by version, path`,
    textOf(table, 'name'),
    numberOf(table, 'generation'),
  )
  return rows.map(toLiveFile)
}

/** Writes the body and brings files, txns and the table's row to the state that it describes. */
async function storeVersion(
  sql: Sql,
  table: Row,
  entry: LogEntry,
  pending: readonly PendingCommit[],
): Promise<void> {
  const { table: name, version, createdAt: now } = entry
  const generation = numberOf(table, 'generation')
  await sql.run(
    'insert into table_log (table_name, version, body, created_at) values (?, ?, ?, ?)',
    name,
    version,
    entry.body,
    now,
  )
  await buryFiles(sql, entry, generation)
  await sql.run(
    `update table_file set version = ? where commit_id in ${CLAIMED}`,
    version,
    name,
    version,
  )
  await storeTxns(sql, name, pending)
  await sql.run(
    `update data_table set next_version = ?, published_generation = ?, published_revision = ?
     where name = ?`,
    version + 1,
    generation,
    numberOf(table, 'schema_revision'),
    name,
  )
  await sql.run(
    'delete from table_commit where table_name = ? and version <= ?',
    name,
    version - HISTORY_VERSIONS,
  )
}

/** Files that this version takes away: those its commits replaced, and those of older generations. */
async function buryFiles(sql: Sql, entry: LogEntry, generation: number): Promise<void> {
  const { table, version, createdAt } = entry
  await sql.run(
    `update table_file set removed_version = ?, removed_at = ? where removed_by in ${CLAIMED}`,
    version,
    createdAt,
    table,
    version,
  )
  await sql.run(
    `update table_file set removed_version = ?, removed_at = ? where ${OLDER_LIVE}`,
    version,
    createdAt,
    table,
    generation,
  )
}

async function storeTxns(
  sql: Sql,
  table: string,
  pending: readonly PendingCommit[],
): Promise<void> {
  // Pending is in order, so the last of a shard stays.
  const newest = new Map(pending.map((commit) => [`${commit.pipeline}\0${commit.shard}`, commit]))
  await insertRows(
    sql,
    'table_txn',
    ['table_name', 'pipeline', 'shard', 'seq'],
    [...newest.values()].map((commit) => [table, commit.pipeline, commit.shard, commit.seq]),
    'on conflict (table_name, pipeline, shard) do update set seq = excluded.seq',
  )
}

function toLogEntry(row: Row): LogEntry {
  return {
    table: textOf(row, 'table_name'),
    version: numberOf(row, 'version'),
    body: textOf(row, 'body'),
    publishedAt: numberOrNull(row, 'published_at'),
    createdAt: numberOf(row, 'created_at'),
  }
}
