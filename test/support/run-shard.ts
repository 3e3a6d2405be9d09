/** A pending part of a run, as the catalog gives it. */
import type { RunShard } from '../../catalog/cluster.ts'

export function pendingPart(shard: string, more: Partial<RunShard> = {}): RunShard {
  return {
    pipeline: 'p',
    shard,
    runId: 1,
    table: 't',
    spec: null,
    state: 'pending',
    attempts: 0,
    nextAt: 0,
    worker: null,
    error: null,
    failedOn: [],
    ...more,
  }
}
