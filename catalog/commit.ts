/**
 * A shard's commit: one transaction that moves cursor, files, state and counters together, or nothing.
 *
 * Everything is checked while the shard's row is held, and only then written, so a commit that is
 * refused has written nothing (L3, S2). Rows are always taken in the order table, shard, files.
 */
import { createHash } from 'node:crypto'
import { assert } from '../lib/assert.ts'
import { stableStringify } from '../lib/json.ts'
import type { Catalog, CommitOutcome, ShardCommit, ShardKey, TableChange } from './catalog.ts'
import { addCounters } from './runs.ts'
import { settleCommitted } from './run-parts.ts'
import { writeStates } from './shards.ts'
import {
  type CatalogDeps,
  type Engine,
  insertRows,
  jsonText,
  numberOf,
  numberOrNull,
  type Row,
  rowsIn,
  type Sql,
  textOf,
  textOrNull,
} from './sql.ts'
import { needTable } from './tables.ts'

export function commitMethods(engine: Engine, deps: CatalogDeps): Pick<Catalog, 'commit'> {
  return {
    commit: (commit) => {
      assertWellFormed(commit)
      return engine.write((sql) => commitShard(sql, deps, commit))
    },
  }
}

/** A change with the table row that it meets, locked. */
export type Target = {
  readonly change: TableChange
  readonly table: Row
  readonly generation: number
}

async function commitShard(
  sql: Sql,
  deps: CatalogDeps,
  commit: ShardCommit,
): Promise<CommitOutcome> {
  const current = await lockShard(sql, commit)
  if (!current) return fencedByAbsence(sql, commit)
  const fingerprint = fingerprintOf(commit)
  if (!isHolder(current, commit)) return fencedOrRepeated(sql, current, commit, fingerprint)
  const targets = await lockTargets(sql, current, commit)
  const lost = await findLostFile(sql, targets)
  if (lost !== undefined) return { kind: 'conflict', path: lost }

  const seq = commit.expectedSeq + 1
  await sql.run(
    `update shard set cursor = ?, done = ?, seq = ?, weight = ?, failures = ?
     where pipeline = ? and shard = ?`,
    jsonText(commit.cursor),
    commit.done,
    seq,
    nextWeight(numberOf(current, 'weight'), commit),
    commit.done ? 0 : numberOf(current, 'failures'),
    commit.pipeline,
    commit.shard,
  )
  for (const target of targets) await insertCommit(sql, deps, commit, target, seq, fingerprint)
  await writeStates(sql, [commit])
  await addCounters(sql, commit.runId, commit.shard, commit.counters)
  await settleCommitted(sql, [{ ...commit, holder: textOrNull(current, 'holder') }])
  return { kind: 'committed', seq }
}

/** Each new pass counts a quarter, so that one odd pass moves nothing far. */
export function nextWeight(weight: number, { done, workMs }: ShardCommit): number {
  if (!done || workMs === undefined) return weight
  const work = Math.max(1, Math.round(workMs))
  return weight === 0 ? work : Math.round((weight * 3 + work) / 4)
}

/** Holds the shard, and its table against a change of generation; undefined when there is none. */
async function lockShard(sql: Sql, commit: ShardCommit): Promise<Row | undefined> {
  const removes = commit.changes.some((change) => change.removes.length > 0)
  const [row] = await sql.rows(
    `select s.epoch, s.seq, s.generation as shard_generation, s.weight, s.failures, s.holder, t.*
     from data_table as t join shard as s on s.table_name = t.name
     where s.pipeline = ? and s.shard = ? and s.dropped = false
     ${sql.lock(removes ? 'no key update' : 'key share', 't')} ${sql.lock('no key update', 's')}`,
    commit.pipeline,
    commit.shard,
  )
  return row
}

export function isHolder(current: Row, commit: ShardCommit): boolean {
  const open = [numberOf(current, 'generation'), numberOrNull(current, 'staging')]
  return (
    numberOf(current, 'epoch') === commit.epoch &&
    numberOf(current, 'seq') === commit.expectedSeq &&
    numberOf(current, 'shard_generation') === commit.generation &&
    open.includes(commit.generation)
  )
}

async function fencedByAbsence(sql: Sql, commit: ShardCommit): Promise<CommitOutcome> {
  const [shard] = await sql.rows(
    'select * from shard where pipeline = ? and shard = ?',
    commit.pipeline,
    commit.shard,
  )
  if (!shard) return { kind: 'fenced', epoch: 0, seq: 0 }
  if (shard['dropped'] === false || shard['dropped'] === 0) {
    await needTable(sql, textOf(shard, 'table_name'))
  }
  return { kind: 'fenced', epoch: numberOf(shard, 'epoch'), seq: numberOf(shard, 'seq') }
}

/**
 * A worker whose connection broke during the commit cannot know the outcome and asks again. The same
 * commit under the same epoch gets the same answer, so that it never drops files that count.
 */
async function fencedOrRepeated(
  sql: Sql,
  current: Row,
  commit: ShardCommit,
  fingerprint: string,
): Promise<CommitOutcome> {
  const fenced = {
    kind: 'fenced',
    epoch: numberOf(current, 'epoch'),
    seq: numberOf(current, 'seq'),
  } as const
  const seq = commit.expectedSeq + 1
  if (fenced.epoch !== commit.epoch || fenced.seq !== seq) return fenced
  const [own] = await sql.rows(
    `select fingerprint from table_commit
     where table_name = ? and pipeline = ? and shard = ? and seq = ?`,
    textOf(current, 'name'),
    commit.pipeline,
    commit.shard,
    seq,
  )
  return own && textOf(own, 'fingerprint') === fingerprint ? { kind: 'committed', seq } : fenced
}

export function fingerprintOf(commit: ShardCommit): string {
  const changes = commit.changes.map((change) => [
    change.table,
    change.adds.map((file) => file.path),
    change.removes,
  ])
  const { runId, epoch, generation, cursor, done } = commit
  const text = stableStringify([runId, epoch, generation, cursor, done, changes])
  return createHash('sha256').update(text).digest('base64url')
}

/**
 * The shard's own table always gets a commit, even an empty one, since the shard's seq and cursor go
 * into that table's log. Other tables (quarantine) take the files into the generation readers see.
 */
export async function lockTargets(
  sql: Sql,
  current: Row,
  commit: ShardCommit,
): Promise<readonly Target[]> {
  const name = textOf(current, 'name')
  const none = { table: name, adds: [], removes: [], dataChange: false }
  const own = commit.changes.find((change) => change.table === name) ?? none
  const targets: Target[] = [{ change: own, table: current, generation: commit.generation }]
  const others = commit.changes.filter((change) => change.table !== name && fileCount(change) > 0)
  for (const change of others.toSorted((a, b) => (a.table < b.table ? -1 : 1))) {
    const lock = change.removes.length > 0 ? 'no key update' : 'key share'
    const table = await needTable(sql, change.table, lock)
    targets.push({ change, table, generation: numberOf(table, 'generation') })
  }
  return targets
}

/**
 * The first path to be removed that is not live any more. A file of a generation that readers do not
 * see yet cannot be removed: its first version must name all files of the load.
 */
export async function findLostFile(
  sql: Sql,
  targets: readonly Target[],
): Promise<string | undefined> {
  for (const { change, table, generation } of targets) {
    if (change.removes.length === 0) continue
    if (numberOrNull(table, 'published_generation') !== generation) return change.removes[0]
    const rows = await rowsIn(
      sql,
      `select path from table_file where table_name = ? and generation = ? and removed_by is null
         and removed_at is null and path in (…) order by path ${sql.lock('no key update')}`,
      [change.table, generation],
      change.removes.toSorted(),
    )
    const live = new Set(rows.map((row) => textOf(row, 'path')))
    const lost = change.removes.find((path) => !live.has(path))
    if (lost !== undefined) return lost
  }
  return undefined
}

async function insertCommit(
  sql: Sql,
  deps: CatalogDeps,
  commit: ShardCommit,
  target: Target,
  seq: number,
  fingerprint: string,
): Promise<void> {
  const { change, generation } = target
  if (fileCount(change) === 0) await dropEmptyCommits(sql, commit, target)
  const [row] = await sql.rows(
    `insert into table_commit (table_name, pipeline, shard, seq, epoch, run_id, generation, cursor,
       done, data_change, files, fingerprint, committed_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id`,
    change.table,
    commit.pipeline,
    commit.shard,
    seq,
    commit.epoch,
    commit.runId,
    generation,
    jsonText(commit.cursor),
    commit.done,
    change.dataChange,
    fileCount(change),
    fingerprint,
    deps.clock.now(),
  )
  await insertFiles(sql, commit, target, numberOf(row!, 'id'))
}

/** An idle shard moves its cursor for weeks without a file; only its newest position matters. */
async function dropEmptyCommits(sql: Sql, commit: ShardCommit, target: Target): Promise<void> {
  // A member of a group goes into the version of the group's file, whatever came after it.
  await sql.run(
    `delete from table_commit where table_name = ? and generation = ? and version is null
       and files = 0 and fold_id is null and pipeline = ? and shard = ?`,
    target.change.table,
    target.generation,
    commit.pipeline,
    commit.shard,
  )
}

/** The files that a commit brings, and those that it takes away. */
export async function insertFiles(
  sql: Sql,
  commit: ShardKey,
  target: Target,
  id: number,
): Promise<void> {
  const { change } = target
  await insertAdds(sql, commit, target, id)
  await rowsIn(
    sql,
    'update table_file set removed_by = ? where table_name = ? and path in (…) returning path',
    [id, change.table],
    change.removes,
  )
}

async function insertAdds(
  sql: Sql,
  commit: ShardKey,
  { change, generation }: Target,
  commitId: number,
): Promise<void> {
  await insertRows(
    sql,
    'table_file',
    [...FILE_COLUMNS, 'commit_id', 'ordinal'],
    change.adds.map((file, ordinal) => [
      change.table,
      file.path,
      file.bytes,
      file.rows,
      file.stats,
      JSON.stringify(file.partition),
      file.schemaRevision,
      generation,
      commit.pipeline,
      commit.shard,
      commitId,
      ordinal,
    ]),
  )
}

/** What is known of a file from the moment of its commit. */
export const FILE_COLUMNS = [
  'table_name',
  'path',
  'bytes',
  'row_count',
  'stats',
  'partition_values',
  'schema_revision',
  'generation',
  'pipeline',
  'shard',
] as const

export function fileCount(change: TableChange): number {
  return change.adds.length + change.removes.length
}

export function assertWellFormed(commit: ShardCommit): void {
  const tables = commit.changes.map((change) => change.table)
  assert(new Set(tables).size === tables.length, 'a commit names a table twice')
  for (const { removes } of commit.changes) {
    assert(new Set(removes).size === removes.length, 'a commit removes a path twice')
  }
}
