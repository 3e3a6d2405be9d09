/**
 * Many small shards of one table in one file and one catalog transaction, each still fenced by its own
 * epoch. The single runner (../shard-runner.ts) stays the reference: whatever is odd about a shard leaves
 * it over for that runner, with nothing written.
 *
 *   acquire all ──► gather a batch ──► look, plan, encode, upload ──► commit all of it ──► next batch
 *                        ▲                                                │
 *                        └── the others, or halves, again ◄── a member was fenced, or a row rejected
 *
 * Invariants: a shard's rows enter a batch only when its source ended cleanly, so each commit carries
 * `done` and a cursor that covers exactly the rows beside it (S2, S3); the file is in the bucket before
 * the transaction that names it (S1); a transaction that finds one epoch or seq changed writes nothing
 * for any of them (L3). Each round settles at least one shard or cuts a batch in two, so rounds end.
 */
import type { Counters, ShardRow } from '../../catalog/catalog.ts'
import { assert, unreachable } from '../../lib/assert.ts'
import { operatingError } from '../../lib/error.ts'
import { acquireMany, keyOf, lostShard, startOf } from '../acquire.ts'
import type { ShardJob, WorkerDeps } from '../deps.ts'
import { countsOf, isStill } from './commits.ts'
import { gatherBatch, type GatherLimits } from './gather.ts'
import type { GroupResult, LeftOver, Member, Part } from './member.ts'
import { writeBatch } from './write.ts'

export type GroupOptions = {
  /** Shards that are read at a time. */
  readonly concurrency: number
  /** A shard with more bytes is left over as large. */
  readonly memberBytesMax: number
  /** A shard that is not read within this is left over as slow. */
  readonly readMsMax: number
}

export const DEFAULT_GROUP: GroupOptions = {
  concurrency: 4,
  memberBytesMax: 1 << 20,
  readMsMax: 10_000,
}

/**
 * Works off `jobs`, which are of one pipeline, run, table, generation and mode. A stop ends the reading;
 * what was read by then is committed. Never throws for an operating condition; answers in order of jobs.
 */
export async function runGroup(
  jobs: readonly ShardJob[],
  deps: WorkerDeps,
  stop: AbortSignal,
  options: GroupOptions = DEFAULT_GROUP,
): Promise<readonly GroupResult[]> {
  const [first] = jobs
  if (!first) return []
  assert(
    jobs.every((job) => isAlike(job, first)),
    'a group is of one run, table and mode',
  )
  const results = new Map<string, GroupResult>()
  const settle = (settled: readonly GroupResult[]): void => {
    for (const result of settled) results.set(result.shard, result)
  }
  try {
    const members = await acquireMembers(jobs, deps, settle)
    const counted = await workOff(members, limitsOf(first, options), deps, stop, settle)
    if (Object.keys(counted).length > 0) await deps.catalog.addCounters(first.runId, counted)
  } catch (error) {
    const failure = operatingError(error, 'CATALOG_UNREACHABLE', first.table)
    const left = jobs.filter((job) => !results.has(job.shard.id))
    settle(left.map((job) => leftOver(job, undefined, { why: 'failed', error: failure })))
  }
  return jobs.map((job) => {
    const result = results.get(job.shard.id)
    assert(result, `shard ${job.shard.id} was settled`)
    return result
  })
}

function isAlike(job: ShardJob, first: ShardJob): boolean {
  return (
    job.pipeline === first.pipeline &&
    job.connector === first.connector &&
    job.runId === first.runId &&
    job.table === first.table &&
    job.generation === first.generation &&
    job.isStaged === first.isStaged &&
    job.shard.sourceTable === first.shard.sourceTable &&
    JSON.stringify([job.mode, job.sourceKey]) === JSON.stringify([first.mode, first.sourceKey])
  )
}

/** What waits in memory for its turn stays within half a batch; the spool may hold a whole one. */
function limitsOf(job: ShardJob, options: GroupOptions): GatherLimits {
  const waitingMax = 2 * options.concurrency
  const share = Math.floor(job.batchBytes / (2 * waitingMax))
  return {
    ...options,
    waitingMax,
    memberBytesMax: Math.min(options.memberBytesMax, share),
    batchBytes: job.batchBytes,
    readMsMax: Math.min(options.readMsMax, job.openMsMax),
  }
}

async function acquireMembers(
  jobs: readonly ShardJob[],
  deps: WorkerDeps,
  settle: (settled: readonly GroupResult[]) => void,
): Promise<readonly Member[]> {
  const rows = await acquireMany(jobs, deps)
  const states = await deps.catalog.shardStates(jobs.map(keyOf))
  const stateOf = new Map(states.map(({ shard, state }) => [shard, state]))
  const held: Member[] = []
  for (const job of jobs) {
    const row = rows.get(job.shard.id)
    if (row)
      held.push({ job, row, state: stateOf.get(job.shard.id) ?? {}, start: startOf(job, row) })
    else
      settle([
        leftOver(job, undefined, { why: 'fenced', error: lostShard(job, job.hold?.ifEpoch) }),
      ])
  }
  // The same shards give the same bytes, in whatever order they were asked for.
  return held.toSorted((a, b) => (a.row.shard < b.row.shard ? -1 : 1))
}

async function workOff(
  members: readonly Member[],
  limits: GatherLimits,
  deps: WorkerDeps,
  stop: AbortSignal,
  settle: (settled: readonly GroupResult[]) => void,
): Promise<Partial<Counters>> {
  const queue: (readonly Member[])[] = [members]
  const uncommitted: Pick<Part, 'counted'>[] = []
  for (let next = queue.shift(); next; next = queue.shift()) {
    if (next.length === 0) continue
    await using gathered = await gatherBatch(next, limits, deps, stop)
    settle(gathered.leftOver.map(({ member, left }) => leftOver(member.job, member.row, left)))
    uncommitted.push(...gathered.leftOver)
    queue.unshift(gathered.rest)
    const { parts } = gathered
    if (parts.length === 0) continue
    const outcome = await writeBatch(gathered, deps)
    const isWritten = outcome.kind === 'committed'
    uncommitted.push(...parts.filter((part) => !isWritten || isStill(part)))
    switch (outcome.kind) {
      case 'committed':
        settle(outcome.results)
        break
      case 'rejects':
        if (parts.length > 1) queue.unshift(...halves(parts.map(({ member }) => member)))
        else settle(parts.map(({ member }) => leftOver(member.job, member.row, { why: 'odd' })))
        break
      case 'fenced': {
        const lost = parts.filter(({ member }) => outcome.shards.has(member.row.shard))
        const gone = lost.length > 0 ? lost : parts
        settle(gone.map(({ member }) => leftOver(member.job, member.row, fenced(member))))
        queue.unshift(parts.filter((part) => !gone.includes(part)).map(({ member }) => member))
        break
      }
      case 'failed':
        settle(parts.map(({ member }) => leftOver(member.job, member.row, outcome.left)))
        break
      default:
        unreachable(outcome)
    }
  }
  return countsOf(uncommitted)
}

function halves(members: readonly Member[]): readonly (readonly Member[])[] {
  const middle = Math.ceil(members.length / 2)
  return [members.slice(0, middle), members.slice(middle)]
}

function fenced({ job, row }: Member): LeftOver {
  return { why: 'fenced', error: lostShard(job, row.epoch) }
}

function leftOver(job: ShardJob, row: ShardRow | undefined, left: LeftOver): GroupResult {
  return {
    kind: 'leftover',
    shard: job.shard.id,
    epoch: row?.epoch,
    why: left.why,
    error: left.error,
  }
}
