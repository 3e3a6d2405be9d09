/**
 * What becomes of a part whose attempt ended without a commit that says it is done. Pure.
 *
 * A curable failure is tried again here, later. One that trying again cannot cure is left to other
 * workers, of which `others` have not tried yet; when none is left, or enough have, the part has failed.
 */
import type { RunShard, ShardSettlement } from '../../catalog/cluster.ts'
import { backoffMs, type Backoff } from '../../lib/backoff.ts'
import type { HakiriError } from '../../lib/error.ts'
import type { Random } from '../../lib/ports.ts'

/** Workers that try a part before it has failed everywhere. */
const WORKERS_MAX = 3
/** Failed runs in a row before a shard is left out of runs. */
const QUARANTINE_AFTER = 3

export type AttemptEnd =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: HakiriError; readonly progressed: boolean }

export type SettleParts = {
  readonly retries: Backoff
  readonly worker: string
  readonly epoch: number
  /** Other workers that may hold it and have not failed on it. */
  readonly others: number
  readonly now: number
  readonly random: Random
}

export function settlementOf(part: RunShard, end: AttemptEnd, parts: SettleParts): ShardSettlement {
  const { pipeline, shard, runId } = part
  const { worker, epoch } = parts
  const about = { pipeline, shard, runId, worker, epoch }
  if (end.kind === 'done') return { ...about, end: { kind: 'done' } }
  const { error, progressed } = end
  const text = `${error.code}: ${error.message}`
  const attempts = (progressed ? 0 : part.attempts) + 1
  const isCurable = error.retry === 'transient' || error.retry === 'rate'
  if (isCurable && attempts <= parts.retries.retriesMax) {
    const waitMs = Math.max(
      backoffMs(parts.retries, attempts, parts.random),
      error.retryAfterMs ?? 0,
    )
    return { ...about, end: { kind: 'retry', attempts, nextAt: parts.now + waitMs, error: text } }
  }
  if (parts.others > 0 && part.failedOn.length + 1 < WORKERS_MAX)
    return { ...about, end: { kind: 'elsewhere', error: text } }
  return { ...about, end: { kind: 'failed', error: text, quarantineAfter: QUARANTINE_AFTER } }
}
