/**
 * When the image is written, and how much of the log is kept behind it. One batch is under way at a
 * time: what changes meanwhile gathers in the store, where later changes of a key replace earlier ones.
 */
import { appliedMark } from './core.ts'
import type { ReplicaCore } from './core.ts'
import { takeLevelChange } from './level.ts'
import type { ImageState } from './parts.ts'
import type { SnapshotMark } from '../raft/types.ts'

export function createImage(marked: number): ImageState {
  return { marked, isWriting: false, sinceMs: undefined, isFlushing: false }
}

export function noteChanged({ image, nowMs }: ReplicaCore): void {
  image.sinceMs ??= nowMs
}

export function maybeWriteImage(core: ReplicaCore): void {
  const { image, applied, nowMs } = core
  const { imageEntries, imageMs } = core.config.tuning
  if (image.isWriting || core.isInstalling || image.sinceMs === undefined) return
  const isDue = applied - image.marked >= imageEntries || nowMs - image.sinceMs >= imageMs
  if (!isDue && !image.isFlushing) return
  image.isWriting = true
  image.isFlushing = false
  image.marked = applied
  image.sinceMs = undefined
  const changes = [
    ...core.members.takeImageChanges(),
    ...core.origins.takeImageChanges(),
    ...takeLevelChange(core),
    ...core.store.takeImageChanges(),
  ]
  core.effects.push({ kind: 'image', batch: { mark: appliedMark(core), changes } })
}

/** What was written stands; the log may be cut, leaving some for members that lag. */
export function noteImageWritten(core: ReplicaCore, mark: SnapshotMark): void {
  core.image.isWriting = false
  const log = cutBefore(core, mark)
  if (!log) return
  core.raft.compact(log)
  core.effects.push({ kind: 'release', image: log.index, log })
}

/** Cuts rarely, half as much again as is kept at a time. */
function cutBefore(core: ReplicaCore, mark: SnapshotMark): SnapshotMark | undefined {
  const { keepEntries, keepBytes } = core.config.tuning
  const { firstIndex, lastIndex, logBytes } = core.raft.status()
  const count = lastIndex - firstIndex + 1
  const isLong = count > keepEntries * 1.5 || logBytes > keepBytes * 1.5
  if (!isLong) return undefined
  const kept = Math.min(keepEntries, Math.floor((count * keepBytes) / Math.max(1, logBytes)))
  const index = Math.min(mark.index, lastIndex - kept)
  const term = core.raft.termAt(index)
  if (index < firstIndex || term === undefined) return undefined
  return { index, term, membership: mark.membership }
}
