/** Rows of the catalog in the words of the API: times as ISO 8601, nothing that is of no use outside. */
import type { RunRow, ShardRow } from '../../catalog/catalog.ts'
import type { ClusterEvent } from '../../catalog/cluster.ts'

export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

export function isoOrNull(ms: number | null | undefined): string | null {
  return ms === null || ms === undefined ? null : isoTime(ms)
}

export function runShape(run: RunRow) {
  const { id, pipeline, kind, status, worker, shardsTotal, shardsDone, shardsFailed, error } = run
  return {
    id,
    pipeline,
    kind,
    status,
    worker,
    shardsTotal,
    shardsDone,
    shardsFailed,
    error,
    startedAt: isoTime(run.startedAt),
    endedAt: isoOrNull(run.endedAt),
    counters: { ...run.counters },
  }
}

export function eventShape(event: ClusterEvent) {
  const { id, level, runId, pipeline, shard, worker, kind, message, data } = event
  return { id, at: isoTime(event.at), level, runId, pipeline, shard, worker, kind, message, data }
}

export function changedShardShape(row: ShardRow) {
  const { pipeline, shard, epoch, seq, paused, quarantine } = row
  return { pipeline, shard, epoch, seq, paused, quarantine }
}
