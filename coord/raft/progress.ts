/**
 * One follower as its leader sees it. `match` is proven by the follower's own durable answer; `next`
 * is a guess that probing corrects. Everything below `next` has been sent, is known to be there, or
 * is inside the snapshot under way.
 */
import { assert } from '../../lib/assert.ts'

export type Progress = {
  match: number
  next: number
  /** `probe`: one append at a time; `replicate`: a window of them; `snapshot`: none until it is there. */
  state: 'probe' | 'replicate' | 'snapshot'
  /** In `probe`: an append is out and nothing came back. */
  isPaused: boolean
  /** Last indexes of appends that are out, oldest first. */
  readonly inflight: number[]
  /** Where the snapshot under way is expected to lead. */
  snapshotIndex: number
  /** The highest commit index this follower has been told with an append. */
  commitSent: number
  /** Ticks at which something was last heard, and an append last sent. */
  heardTick: number
  sentTick: number
  /** The newest read round this follower has confirmed. */
  confirmedContext: number
}

export function createProgress(next: number, nowTick: number): Progress {
  return {
    match: 0,
    next,
    state: 'probe',
    isPaused: false,
    inflight: [],
    snapshotIndex: 0,
    commitSent: 0,
    heardTick: nowTick,
    sentTick: nowTick,
    confirmedContext: 0,
  }
}

export function startProbing(progress: Progress): void {
  const isSnapshot = progress.state === 'snapshot'
  progress.next = isSnapshot
    ? Math.max(progress.match, progress.snapshotIndex) + 1
    : progress.match + 1
  enter(progress, 'probe')
}

export function startReplicating(progress: Progress): void {
  progress.next = progress.match + 1
  enter(progress, 'replicate')
}

export function startSnapshot(progress: Progress, index: number): void {
  assert(progress.state !== 'snapshot', 'one snapshot at a time for each follower')
  enter(progress, 'snapshot')
  progress.snapshotIndex = index
}

function enter(progress: Progress, state: Progress['state']): void {
  progress.state = state
  progress.isPaused = false
  progress.inflight.length = 0
  progress.snapshotIndex = 0
}

/** An append with entries up to `last` went out; without entries `last` is `next - 1`. */
export function noteSent(progress: Progress, last: number, commit: number, nowTick: number): void {
  progress.sentTick = nowTick
  progress.commitSent = Math.max(progress.commitSent, commit)
  if (progress.state === 'probe') progress.isPaused = true
  if (last < progress.next || progress.state !== 'replicate') return
  progress.next = last + 1
  progress.inflight.push(last)
}

/** The follower has everything up to `index` on its disk. Whether that is news. */
export function noteMatch(progress: Progress, index: number): boolean {
  while ((progress.inflight[0] ?? Number.POSITIVE_INFINITY) <= index) progress.inflight.shift()
  if (index <= progress.match) return false
  progress.match = index
  progress.next = Math.max(progress.next, index + 1)
  return true
}

/**
 * The entry at `rejected` did not match; the logs may agree at `hint`. Whether that is news: late and
 * doubled rejections are not.
 */
export function noteRejected(progress: Progress, rejected: number, hint: number): boolean {
  if (rejected <= progress.match || progress.state === 'snapshot') return false
  if (progress.state === 'replicate') {
    startProbing(progress)
    return true
  }
  if (rejected !== progress.next - 1) return false
  progress.next = Math.max(Math.min(rejected, hint + 1), progress.match + 1)
  progress.isPaused = false
  return true
}
