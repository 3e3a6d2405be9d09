/**
 * Commits of many shards in one transaction, all or nothing, each still fenced by its own epoch.
 *
 * The file that the group wrote belongs to one of its commits. The others point at that commit
 * (`fold_id`), and a publisher takes them together: a version that showed the file without all cursors
 * would let rows be read twice after a rebuild from the bucket, one with cursors but no file would
 * lose them.
 */
import { createHash } from 'node:crypto'
import { assert } from '../lib/assert.ts'
import { assertDistinct, keyOf } from './acquire.ts'
import type { ClusterCatalog, GroupOutcome } from './cluster.ts'
import {
  assertWellFormed,
  fileCount,
  findLostFile,
  fingerprintOf,
  insertFiles,
  isHolder,
  lockTargets,
  nextWeight,
  type Target,
} from './commit.ts'
import type { ShardCommit } from './rows.ts'
import { settleCommitted } from './run-parts.ts'
import { addCounters, sumCounters } from './runs.ts'
import { writeStates } from './shards.ts'
import {
  type CatalogDeps,
  type Engine,
  jsonText,
  numberOf,
  records,
  type Row,
  type Sql,
  textOf,
  textOrNull,
} from './sql.ts'

export function groupCommitMethods(
  engine: Engine,
  deps: CatalogDeps,
): Pick<ClusterCatalog, 'commitShards'> {
  return {
    commitShards: async (commits) => {
      if (commits.length === 0) return { kind: 'committed' }
      const group = orderGroup(commits)
      return engine.write((sql) => commitGroup(sql, deps, group))
    },
  }
}

/** The commit that carries changes comes last, and so gets the highest id. */
function orderGroup(commits: readonly ShardCommit[]): readonly ShardCommit[] {
  assertDistinct(commits)
  for (const commit of commits) assertWellFormed(commit)
  const carrying = commits.filter(hasFiles)
  assert(carrying.length <= 1, 'two commits of a group carry changes')
  const generations = new Set(commits.map((commit) => commit.generation))
  assert(generations.size === 1, 'a group is of one generation')
  return [...commits.filter((commit) => !hasFiles(commit)), ...carrying]
}

function hasFiles(commit: ShardCommit): boolean {
  return commit.changes.some((change) => fileCount(change) > 0)
}

/** A commit with the row of its shard and table, held. */
type Member = { readonly commit: ShardCommit; readonly row: Row }

async function commitGroup(
  sql: Sql,
  deps: CatalogDeps,
  commits: readonly ShardCommit[],
): Promise<GroupOutcome> {
  const rows = await lockMembers(sql, commits)
  const members = commits.flatMap((commit): Member[] => {
    const row = rows.get(keyOf(commit))
    return row && isHolder(row, commit) ? [{ commit, row }] : []
  })
  const fingerprint = fingerprintOfGroup(commits)
  if (members.length < commits.length) {
    return (await isRepeat(sql, commits, fingerprint))
      ? { kind: 'committed' }
      : { kind: 'fenced', shards: strangers(commits, members) }
  }
  const tables = new Set(members.map(({ row }) => textOf(row, 'name')))
  assert(tables.size === 1, 'a group is of one table')
  const last = members.at(-1)!
  const targets = await lockTargets(sql, last.row, last.commit)
  const lost = await findLostFile(sql, targets)
  if (lost !== undefined) return { kind: 'conflict', path: lost }
  await moveShards(sql, members)
  await insertCommits(sql, deps, members, targets, fingerprint)
  await writeStates(sql, commits)
  await countGroup(sql, commits)
  await settleCommitted(
    sql,
    members.map(({ commit, row }) => ({ ...commit, holder: textOrNull(row, 'holder') })),
  )
  return { kind: 'committed' }
}

const KEY = { pipeline: 'text', shard: 'text' } as const

/** Holds the table against a change of generation, and the shards in the order of their keys. */
async function lockMembers(
  sql: Sql,
  commits: readonly ShardCommit[],
): Promise<ReadonlyMap<string, Row>> {
  const removes = commits.some(({ changes }) => changes.some((change) => change.removes.length > 0))
  const rows = await sql.rows(
    `select s.pipeline, s.shard, s.epoch, s.seq, s.generation as shard_generation, s.weight,
       s.failures, s.holder, t.name, t.generation, t.staging, t.published_generation
     from shard as s join ${sql.each('v', KEY)} on v.pipeline = s.pipeline and v.shard = s.shard
     join data_table as t on t.name = s.table_name
     where s.dropped = false order by s.pipeline, s.shard
     ${sql.lock(removes ? 'no key update' : 'key share', 't')} ${sql.lock('no key update', 's')}`,
    records(commits.map(({ pipeline, shard }) => ({ pipeline, shard }))),
  )
  return new Map(
    rows.map((row) => [
      keyOf({ pipeline: textOf(row, 'pipeline'), shard: textOf(row, 'shard') }),
      row,
    ]),
  )
}

function strangers(commits: readonly ShardCommit[], members: readonly Member[]) {
  const held = new Set(members.map(({ commit }) => commit))
  return commits
    .filter((commit) => !held.has(commit))
    .map(({ pipeline, shard }) => ({ pipeline, shard }))
}

function fingerprintOfGroup(commits: readonly ShardCommit[]): string {
  const hash = createHash('sha256')
  for (const commit of commits) {
    hash.update(JSON.stringify([commit.pipeline, commit.shard, commit.expectedSeq]))
    hash.update(fingerprintOf(commit))
  }
  return hash.digest('base64url')
}

/**
 * A worker whose connection broke during the commit cannot know the outcome and asks again. All or
 * nothing was written, so one commit of the group that is there says that all are, even when a shard
 * was taken over or moved on since.
 */
async function isRepeat(
  sql: Sql,
  commits: readonly ShardCommit[],
  fingerprint: string,
): Promise<boolean> {
  const [found] = await sql.rows(
    `select 1 from ${sql.each('v', { ...KEY, seq: 'integer' })}
     join shard as s on s.pipeline = v.pipeline and s.shard = v.shard
     join table_commit as c on c.table_name = s.table_name and c.pipeline = v.pipeline
       and c.shard = v.shard and c.seq = v.seq
     where c.fingerprint = ? limit 1`,
    records(
      commits.map(({ pipeline, shard, expectedSeq }) => ({
        pipeline,
        shard,
        seq: expectedSeq + 1,
      })),
    ),
    fingerprint,
  )
  return found !== undefined
}

async function moveShards(sql: Sql, members: readonly Member[]): Promise<void> {
  const columns = {
    ...KEY,
    cursor: 'json',
    seq: 'integer',
    done: 'boolean',
    weight: 'integer',
    failures: 'integer',
  } as const
  await sql.run(
    `update shard as s set cursor = v.cursor, seq = v.seq, done = v.done, weight = v.weight,
       failures = v.failures
     from ${sql.each('v', columns)} where s.pipeline = v.pipeline and s.shard = v.shard`,
    records(
      members.map(({ commit, row }) => ({
        pipeline: commit.pipeline,
        shard: commit.shard,
        cursor: jsonText(commit.cursor),
        seq: commit.expectedSeq + 1,
        done: commit.done,
        weight: nextWeight(numberOf(row, 'weight'), commit),
        failures: commit.done ? 0 : numberOf(row, 'failures'),
      })),
    ),
  )
}

async function insertCommits(
  sql: Sql,
  deps: CatalogDeps,
  members: readonly Member[],
  targets: readonly Target[],
  fingerprint: string,
): Promise<void> {
  const [own, ...others] = targets
  const ids = await sql.newIds('table_commit', members.length + others.length)
  const foldId = fileCount(own!.change) > 0 && members.length > 1 ? ids[members.length - 1]! : null
  const commit = (member: Member, target: Target, index: number) =>
    commitRow(member, target, ids[index]!, deps.clock.now(), fingerprint)
  const last = members.at(-1)!
  const empty = { ...own!, change: { ...own!.change, adds: [], removes: [], dataChange: false } }
  const rows = [
    ...members
      .slice(0, -1)
      .map((member, index) => ({ ...commit(member, empty, index), fold_id: foldId })),
    commit(last, own!, members.length - 1),
    ...others.map((target, index) => commit(last, target, members.length + index)),
  ]
  await dropEmptyCommits(
    sql,
    own!,
    rows.filter((row) => row.files === 0),
  )
  await sql.run(
    `insert into table_commit (${Object.keys(COMMIT_COLUMNS).join(', ')})
     select ${Object.keys(COMMIT_COLUMNS).join(', ')} from ${sql.each('v', COMMIT_COLUMNS)}
     where true order by v.id`,
    records(rows),
  )
  for (const [index, target] of targets.entries()) {
    await insertFiles(sql, last.commit, target, ids[members.length - 1 + index]!)
  }
}

const COMMIT_COLUMNS = {
  id: 'integer',
  table_name: 'text',
  pipeline: 'text',
  shard: 'text',
  seq: 'integer',
  epoch: 'integer',
  run_id: 'integer',
  generation: 'integer',
  cursor: 'json',
  done: 'boolean',
  data_change: 'boolean',
  files: 'integer',
  fingerprint: 'text',
  committed_at: 'integer',
  fold_id: 'integer',
} as const

function commitRow(
  { commit }: Member,
  { change, generation }: Target,
  id: number,
  now: number,
  fingerprint: string,
): Readonly<Record<keyof typeof COMMIT_COLUMNS, Row[string]>> {
  return {
    id,
    table_name: change.table,
    pipeline: commit.pipeline,
    shard: commit.shard,
    seq: commit.expectedSeq + 1,
    epoch: commit.epoch,
    run_id: commit.runId,
    generation,
    cursor: jsonText(commit.cursor),
    done: commit.done,
    data_change: change.dataChange,
    files: fileCount(change),
    fingerprint,
    committed_at: now,
    fold_id: null,
  }
}

/** Only the newest position of an idle shard matters; the one before has the number before. */
async function dropEmptyCommits(sql: Sql, own: Target, rows: readonly Row[]): Promise<void> {
  const previous = rows
    .filter((row) => row['table_name'] === own.change.table && numberOf(row, 'seq') > 1)
    .map((row) => ({
      pipeline: row['pipeline']!,
      shard: row['shard']!,
      seq: numberOf(row, 'seq') - 1,
    }))
  if (previous.length === 0) return
  await sql.run(
    `delete from table_commit where generation = ? and version is null and files = 0
       and fold_id is null and (table_name, pipeline, shard, seq) in
       (select cast(? as text), v.pipeline, v.shard, v.seq from ${sql.each('v', { ...KEY, seq: 'integer' })})`,
    own.generation,
    own.change.table,
    records(previous),
  )
}

async function countGroup(sql: Sql, commits: readonly ShardCommit[]): Promise<void> {
  const runs = [...Map.groupBy(commits, (commit) => commit.runId)].toSorted(([a], [b]) => a - b)
  for (const [runId, own] of runs) {
    const total = sumCounters(own.map((commit) => commit.counters))
    await addCounters(sql, runId, own[0]!.shard, total)
  }
}
