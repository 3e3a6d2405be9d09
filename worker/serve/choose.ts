/**
 * What a free slot takes up next. Pure. Small parts of one run and table go together as a group, which
 * shares one file and one transaction; a part that failed, or was too large for a group, goes alone.
 */
import type { RunShard } from '../../catalog/cluster.ts'

export type Candidate = {
  readonly part: RunShard
  /** Not before this local time. */
  readonly readyAt: number
  /** No part for a group: it was too large for one, or odd in another way. */
  readonly isLarge: boolean
}

/** Parts that may share a file: of one run and table. */
export function groupName({ runId, table }: RunShard): string {
  return `${runId} ${table}`
}

export type Choice = {
  readonly work: readonly RunShard[] | undefined
  /** When something becomes ready that is not yet; Infinity: nothing waits. */
  readonly nextAt: number
}

/** Fewer parts than this are not worth a group at first: each of them may well be large. */
export const GROUP_MIN = 16
export const GROUP_MAX = 256

export type ChoosePolicy = {
  readonly worker: string
  readonly now: number
  /** A group leaves parts for as many others. */
  readonly slots: number
  /** Groups of which one has succeeded; others are tried with few parts first. */
  readonly proven: ReadonlySet<string>
}

export function chooseWork(
  candidates: Iterable<Candidate>,
  { worker, now, slots, proven }: ChoosePolicy,
): Choice {
  let nextAt = Infinity
  let first: RunShard | undefined
  const groups = new Map<string, RunShard[]>()
  for (const { part, readyAt, isLarge } of candidates) {
    if (part.failedOn.includes(worker)) continue
    if (readyAt > now) {
      nextAt = Math.min(nextAt, readyAt)
      continue
    }
    if (first === undefined || comesBefore(part, first)) first = part
    if (!isLarge && part.attempts === 0) addTo(groups, groupName(part), part)
  }
  if (first === undefined) return { work: undefined, nextAt }
  const group = groups.get(groupName(first)) ?? []
  const isProven = proven.has(groupName(first))
  // What is left of shards that are known to be small is still one file.
  const isFew = group.length < (isProven ? 2 : GROUP_MIN)
  if (isFew || !group.includes(first)) return { work: [first], nextAt }
  const sizeMax = isProven ? GROUP_MAX : GROUP_MIN
  const size = Math.min(sizeMax, Math.max(GROUP_MIN, Math.ceil(group.length / slots)))
  return { work: group.toSorted((a, b) => (comesBefore(a, b) ? -1 : 1)).slice(0, size), nextAt }
}

/** Older runs first, then by name, so that equal situations make equal choices. */
function comesBefore(a: RunShard, b: RunShard): boolean {
  if (a.runId !== b.runId) return a.runId < b.runId
  return a.shard < b.shard
}

function addTo(groups: Map<string, RunShard[]>, key: string, part: RunShard): void {
  const group = groups.get(key)
  if (group) group.push(part)
  else groups.set(key, [part])
}
