/** One attempt at a part, or at a group of them, with one shape of outcome for both. */
import type { RunShard } from '../../catalog/cluster.ts'
import { unreachable } from '../../lib/assert.ts'
import type { HakiriError } from '../../lib/error.ts'
import type { ShardResult, WorkerDeps } from '../deps.ts'
import { runGroup } from '../group/group.ts'
import type { GroupResult } from '../group/member.ts'
import { runShard } from '../shard-runner.ts'
import type { RunContext } from './run-context.ts'

export type AttemptOutcome =
  | 'done'
  /** Given up before its end, at a safe point. */
  | 'stopped'
  | 'fenced'
  | 'failed'
  /** No part for a group; nothing was written of it. */
  | 'alone'

export type Attempt = {
  readonly part: RunShard
  readonly outcome: AttemptOutcome
  readonly error: HakiriError | undefined
  /** Undefined: the shard was never acquired. */
  readonly epoch: number | undefined
  /** Done, and a commit says so. */
  readonly isRecorded: boolean
  readonly rows: number
}

/** Parts of one run and table; never throws for an operating condition. */
export async function attempt(
  parts: readonly RunShard[],
  context: RunContext,
  deps: WorkerDeps,
  stop: AbortSignal,
  ifEpoch: number | undefined,
): Promise<readonly Attempt[]> {
  const [first] = parts
  const jobs = parts.flatMap((part) => context.jobFor(part, ifEpoch) ?? [])
  const [job] = jobs
  if (!first || !job) return []
  if (parts.length === 1) return [ofSingle(first, await runShard(job, deps, stop))]
  const partOf = new Map(parts.map((part) => [part.shard, part]))
  const results = await runGroup(jobs, deps, stop)
  return results.flatMap((result) => {
    const part = partOf.get(result.shard)
    return part ? [ofMember(part, result)] : []
  })
}

function ofSingle(part: RunShard, result: ShardResult): Attempt {
  const { outcome, error, epoch, isRecorded, rows } = result
  const isCut = outcome === 'failed' && error?.code === 'CANCELLED'
  return { part, outcome: isCut ? 'stopped' : outcome, error, epoch, isRecorded, rows }
}

function ofMember(part: RunShard, result: GroupResult): Attempt {
  const { epoch } = result
  if (result.kind === 'done') {
    const { rows, isRecorded } = result
    return { part, outcome: 'done', error: undefined, epoch, isRecorded, rows }
  }
  const { error } = result
  const outcome = error?.code === 'CANCELLED' ? 'stopped' : outcomeOf(result.why)
  return { part, outcome, error, epoch, isRecorded: false, rows: 0 }
}

function outcomeOf(why: Extract<GroupResult, { kind: 'leftover' }>['why']): AttemptOutcome {
  switch (why) {
    case 'fenced':
    case 'stopped':
      return why
    case 'large':
    case 'slow':
    case 'odd':
    case 'failed':
    case 'unsure':
      return 'alone'
    default:
      return unreachable(why)
  }
}
