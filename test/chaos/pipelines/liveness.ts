/**
 * Whether everything came back once the faults were over: runs that end, workers that are members, shards
 * that nothing holds up. Pure: what was seen comes in as facts.
 */
import { named, type Problem } from './problem.ts'

export type LivenessFacts = {
  /** Runs that were asked for after healing. */
  readonly runs: readonly HealedRun[]
  /** Workers that were up at the end, and those who were members by then. */
  readonly workers: { readonly up: readonly string[]; readonly members: readonly string[] }
  readonly shards: readonly HealedShard[]
  /** What the faults of the run may have done to sources; nothing else explains a quarantine. */
  readonly sourceFaults: readonly SourceFault[]
}

export type HealedRun = {
  readonly pipeline: string
  readonly run: number
  /** Status that it ended with; undefined when it had not ended when the time was over. */
  readonly status: string | undefined
  readonly error: string | null
  /** From the request to the end, or to the end of waiting. */
  readonly tookMs: number
}

export type HealedShard = {
  readonly pipeline: string
  readonly shard: string
  readonly paused: boolean
  readonly quarantine: string | null
  /** Parts of runs that wait for it. */
  readonly pending: number
}

/** A source was away, or refused, for pipelines that read it. */
export type SourceFault = { readonly pipelines: readonly string[]; readonly title: string }

/** Codes with which a shard fails when its source is away; the rest would be our own doing. */
const EXCUSED = /^failed in \d+ runs in a row: (SOURCE_UNREACHABLE|SOURCE_RATE): /

export function auditLiveness(facts: LivenessFacts, withinMs: number): readonly Problem[] {
  return [
    ...facts.runs.flatMap((run) => lintRun(run, withinMs)),
    ...lintWorkers(facts.workers),
    ...facts.shards.flatMap((shard) => lintShard(shard, facts.sourceFaults)),
  ]
}

function lintRun({ pipeline, run, status, error, tookMs }: HealedRun, withinMs: number): Problem[] {
  const what = `run ${run} of ${pipeline}`
  if (status === undefined)
    return [{ check: 'run-ends', text: `${what} had not ended after ${Math.round(tookMs)} ms` }]
  if (status !== 'succeeded')
    return [{ check: 'run-succeeds', text: `${what} ended as ${status}: ${error ?? 'no error'}` }]
  if (tookMs > withinMs)
    return [
      { check: 'run-in-time', text: `${what} took ${Math.round(tookMs)} ms, not ${withinMs}` },
    ]
  return []
}

function lintWorkers({ up, members }: LivenessFacts['workers']): Problem[] {
  const missing = up.filter((name) => !members.includes(name))
  const unknown = members.filter((name) => !up.includes(name))
  const problems: Problem[] = []
  if (missing.length > 0)
    problems.push({ check: 'member', text: named('workers are no members', missing) })
  if (unknown.length > 0)
    problems.push({ check: 'member-gone', text: named('members are not up', unknown) })
  return problems
}

function lintShard(shard: HealedShard, faults: readonly SourceFault[]): Problem[] {
  const what = `${shard.pipeline}/${shard.shard}`
  const problems: Problem[] = []
  if (shard.pending > 0)
    problems.push({ check: 'shard-stuck', text: `${what} has ${shard.pending} parts pending` })
  if (shard.paused) problems.push({ check: 'shard-paused', text: `${what} is paused by nobody` })
  if (shard.quarantine !== null && !isExplained(shard, faults))
    problems.push({ check: 'quarantine', text: `${what}: ${shard.quarantine}` })
  return problems
}

/** By a source that was away while it failed for exactly that. */
export function isExplained(
  { pipeline, quarantine }: Pick<HealedShard, 'pipeline' | 'quarantine'>,
  faults: readonly SourceFault[],
): boolean {
  return (
    EXCUSED.test(quarantine ?? '') && faults.some(({ pipelines }) => pipelines.includes(pipeline))
  )
}
