/**
 * Automatic compaction: how far back the history should reach. Pure; the member that leads asks from
 * time to time and proposes the answer. Kept is what is both among the newest revisions and young
 * enough, so that memory stays bounded under load and old values go when nothing happens.
 */

export type CompactionPolicy = {
  /** The newest so many revisions. */
  readonly revisionsKept: number
  readonly historyMs: number
  /** Nothing is proposed for fewer revisions than this, so that compactions are few. */
  readonly revisionsMin: number
}

/** Which revision was the newest at a moment of the monotonic clock. */
export type RevisionSample = { readonly atMs: number; readonly revision: number }

export type CompactionInput = {
  readonly nowMs: number
  readonly revision: number
  readonly compactRevision: number
  /** In the order of time. */
  readonly samples: readonly RevisionSample[]
  readonly policy: CompactionPolicy
}

const SAMPLES_PER_HISTORY = 60

/** The revision to compact to now, if it is worth it. What only time makes old is compacted in any number. */
export function planCompaction(input: CompactionInput): number | undefined {
  const { nowMs, revision, compactRevision, samples, policy } = input
  const byCount = revision - policy.revisionsKept
  const byAge = samples.findLast(({ atMs }) => atMs <= nowMs - policy.historyMs)?.revision ?? 0
  if (byAge > compactRevision && byAge >= byCount) return byAge
  return byCount - compactRevision >= policy.revisionsMin ? byCount : undefined
}

/** Notes the revision of now, and forgets samples that no decision needs any more. */
export function addSample(
  samples: readonly RevisionSample[],
  sample: RevisionSample,
  { historyMs }: CompactionPolicy,
): readonly RevisionSample[] {
  const last = samples.at(-1)
  if (last && sample.atMs - last.atMs < historyMs / SAMPLES_PER_HISTORY) return samples
  const oldest = samples.findLastIndex(({ atMs }) => atMs <= sample.atMs - historyMs)
  return [...samples.slice(Math.max(0, oldest)), sample]
}
