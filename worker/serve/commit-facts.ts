/** What each commit of a runner moved and how long it took, told to whoever keeps the metrics. */
import type { Catalog, ShardCommit } from '../../catalog/catalog.ts'
import type { Clock } from '../../lib/ports.ts'

export type CommitFacts = {
  readonly shards: number
  readonly rows: number
  readonly bytes: number
  readonly durationMs: number
}

export function tellCommits(
  catalog: Catalog,
  clock: Clock,
  tell: (facts: CommitFacts) => void,
): Catalog {
  async function timed<R extends { readonly kind: string }>(
    commits: readonly ShardCommit[],
    call: () => Promise<R>,
  ): Promise<R> {
    const began = clock.monotonic()
    const outcome = await call()
    const sum = (of: 'rowsRead' | 'bytesWritten'): number =>
      commits.reduce((total, { counters }) => total + (counters[of] ?? 0), 0)
    if (outcome.kind === 'committed')
      tell({
        shards: commits.length,
        rows: sum('rowsRead'),
        bytes: sum('bytesWritten'),
        durationMs: clock.monotonic() - began,
      })
    return outcome
  }
  return {
    ...catalog,
    commit: (commit) => timed([commit], () => catalog.commit(commit)),
    commitShards: (commits) => timed(commits, () => catalog.commitShards(commits)),
  }
}
