/**
 * What a gathered batch commits, shard by shard. Pure.
 *
 * Invariant: the commit that carries the file comes last, so that whoever sees it sees the cursors of all
 * rows in it.
 */
import type { Counters, DataFile, ShardCommit } from '../../catalog/catalog.ts'
import { assert } from '../../lib/assert.ts'
import { stableStringify } from '../../lib/json.ts'
import { keyOf } from '../acquire.ts'
import type { BatchPlace } from '../plan-for-table.ts'
import type { GroupResult, Part } from './member.ts'

/** The shard whose commit names the file: the last one that has rows in it. */
export function carrierOf(parts: readonly Part[]): Part {
  const carrier = parts.findLast((part) => part.rows > 0) ?? parts.at(-1)
  assert(carrier, 'a batch has members')
  return carrier
}

/**
 * Where the file stands among all batches of each of its shards: behind every commit that any of them
 * made before, so that by key the newest row wins.
 */
export function sequencePlace(parts: readonly Part[]): BatchPlace {
  return { seq: parts.reduce((most, { member }) => Math.max(most, member.row.seq), 0), batch: 0 }
}

/** Nothing came, and the catalog knows already that nothing would. */
export function isStill({ member, rows, cursor, state }: Part): boolean {
  return (
    rows === 0 &&
    Object.keys(state).length === 0 &&
    member.row.done &&
    stableStringify(cursor) === stableStringify(member.row.cursor)
  )
}

export type Written = {
  readonly parts: readonly Part[]
  readonly adds: readonly DataFile[]
  /** Rows in the files, fewer than were read when some were merged by key. */
  readonly rowsWritten: number
  /** What gathering and writing took together. */
  readonly workMs: number
}

/** One commit a shard that has something to say, in order of shards but for the carrier, which is last. */
export function commitsOf(written: Written): readonly ShardCommit[] {
  const carrier = carrierOf(written.parts)
  const speaking = written.parts.filter((part) => part === carrier || !isStill(part))
  if (isStill(carrier)) return []
  const others = speaking.filter((part) => part !== carrier)
  const readMs = written.parts.reduce((sum, part) => sum + part.readMs, 0)
  const shareOf = (part: Part): number =>
    written.workMs * (readMs > 0 ? part.readMs / readMs : 1 / written.parts.length)
  return [
    ...others.map((part) => commitOf(part, shareOf(part))),
    carrying(commitOf(carrier, shareOf(carrier)), written),
  ]
}

function commitOf(
  { member, rows, bytes, cursor, state, counted }: Part,
  workMs: number,
): ShardCommit {
  const { job, row } = member
  return {
    ...keyOf(job),
    runId: job.runId,
    epoch: row.epoch,
    expectedSeq: row.seq,
    generation: job.generation,
    cursor,
    done: true,
    changes: [],
    state,
    counters: { ...counted, ...(rows > 0 ? { rowsRead: rows, bytesRead: bytes } : {}) },
    workMs: Math.max(1, Math.ceil(workMs)),
  }
}

function carrying(commit: ShardCommit, { parts, adds, rowsWritten }: Written): ShardCommit {
  if (adds.length === 0) return commit
  const table = carrierOf(parts).member.job.table
  const bytesWritten = adds.reduce((sum, file) => sum + file.bytes, 0)
  return {
    ...commit,
    changes: [{ table, adds, removes: [], dataChange: true }],
    counters: { ...commit.counters, rowsWritten, bytesWritten, files: adds.length },
  }
}

/** Requests and the like of shards that commit nothing. */
export function countsOf(parts: readonly Pick<Part, 'counted'>[]): Partial<Counters> {
  const sum: { -readonly [K in keyof Counters]?: number } = {}
  for (const { counted } of parts)
    for (const [name, by] of Object.entries(counted) as [keyof Counters, number][])
      sum[name] = (sum[name] ?? 0) + by
  return sum
}

/** How the shards of a batch came out, once its commit went through. */
export function resultsOf(
  parts: readonly Part[],
  commits: readonly ShardCommit[],
): readonly GroupResult[] {
  const recorded = new Set(commits.map((commit) => commit.shard))
  return parts.map(({ member: { job, row }, rows }) => ({
    kind: 'done',
    shard: job.shard.id,
    epoch: row.epoch,
    rows,
    isRecorded: recorded.has(job.shard.id),
  }))
}
