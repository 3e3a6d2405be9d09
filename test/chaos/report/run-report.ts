/** What is known of a chaos run when it is over, whatever ended it: plain data, written as JSON. */
import type { Backend, FaultKind } from '../faults/catalogue.ts'
import type { TimelineEvent } from '../timeline.ts'

export type RunSettings = {
  readonly seed: number
  readonly backend: Backend
  readonly minutes: number
  readonly nodes: number
  readonly workers: number
  readonly lab: 'namespaces' | 'proxies'
  /** Sessions and what has to be done in time get so many times as long: for machines that are busy. */
  readonly patience: number
  /** Only these faults; all that are possible when it is left out. */
  readonly faults?: readonly FaultKind[]
}

/** One claim about the run, and what speaks against it. */
export type Check = {
  readonly name: string
  readonly problems: readonly string[]
  /** What was looked at, in numbers. */
  readonly seen: string
}

export type RunFigures = {
  readonly commits: number
  readonly rows: number
  readonly lost: number
  readonly doubled: number
  /** Two that wrote, or led, or held the same at once. */
  readonly split: number
  readonly operations: number
}

export type RunReport = {
  readonly settings: RunSettings
  /** ISO 8601, by the wall clock. */
  readonly startedAt: string
  readonly tookMs: number
  /** `aborted`: it did not come to its audits. */
  readonly verdict: 'passed' | 'failed' | 'aborted'
  readonly checks: readonly Check[]
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
  readonly figures: RunFigures
  readonly events: readonly TimelineEvent[]
}

/** The command that asks for the same run again. */
export function replayOf(settings: RunSettings): string {
  const { seed, backend, minutes, nodes, workers, lab, faults, patience } = settings
  const words = [
    `--seed=${seed}`,
    `--backend=${backend}`,
    `--minutes=${minutes}`,
    `--nodes=${nodes}`,
    `--workers=${workers}`,
    `--lab=${lab}`,
    ...(patience === 1 ? [] : [`--patience=${patience}`]),
    ...(faults ? [`--faults=${faults.join(',')}`] : []),
  ]
  return `npm run chaos -- ${words.join(' ')}`
}

export function countFaults({ faults }: Pick<RunReport, 'faults'>): number {
  return Object.values(faults).reduce((sum, count) => sum + count, 0)
}
