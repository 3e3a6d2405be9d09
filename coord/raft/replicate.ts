/**
 * How a leader brings its log to the others: appends within a window for those that keep up, one at a
 * time while the place where the logs agree is sought, a snapshot for those that are too far behind.
 */
import { assert } from '../../lib/assert.ts'
import { commitTo, send } from './core.ts'
import type { Core } from './core.ts'
import { entriesWithin, lastIndex, termAt } from './log.ts'
import { noteSent, startProbing, startSnapshot } from './progress.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import type { MemberId } from './types.ts'

/** Sends every follower what it may have now. */
export function sendAppends(core: Core): void {
  for (const [member, progress] of core.followers) fillWindow(core, member, progress)
}

function fillWindow(core: Core, member: MemberId, progress: Progress): void {
  const windowMax = core.config.inflightAppendsMax
  const last = lastIndex(core.log)
  while (progress.state === 'replicate' && progress.next <= last) {
    if (progress.inflight.length >= windowMax) return
    sendAppend(core, member, progress)
  }
  const isNews = progress.state === 'replicate' && progress.commitSent < core.commit
  const isProbe = progress.state === 'probe' && !progress.isPaused
  if (isNews || isProbe) sendAppend(core, member, progress)
}

/** One append from `next` on, possibly empty; a snapshot where the log no longer reaches back. */
export function sendAppend(core: Core, member: MemberId, progress: Progress): void {
  const prevIndex = progress.next - 1
  const prevTerm = termAt(core.log, prevIndex)
  if (prevTerm === undefined) {
    sendSnapshot(core, member, progress)
    return
  }
  const { appendBytesMax, inflightAppendsMax } = core.config
  const isFull = progress.inflight.length >= inflightAppendsMax
  const entries = isFull ? [] : entriesWithin(core.log, progress.next, appendBytesMax)
  const commit = core.commit
  send(core, member, { kind: 'append', prevIndex, prevTerm, entries, commit })
  noteSent(progress, prevIndex + entries.length, commit, core.nowTick)
}

/** A member that is not heard gets none: it would only be kept waiting for the next one. */
function sendSnapshot(core: Core, member: MemberId, progress: Progress): void {
  if (!isActive(core, progress)) {
    if (progress.state === 'replicate') startProbing(progress)
    return
  }
  const index = core.applied
  const term = termAt(core.log, index)
  assert(term !== undefined, 'what is applied is in the log, or its mark')
  send(core, member, { kind: 'snapshot', mark: { index, term, membership: core.membership } })
  startSnapshot(progress, index)
}

/** Whether the follower was heard within an election timeout. */
export function isActive(core: Core, progress: Progress): boolean {
  return core.nowTick - progress.heardTick < core.config.electionTicks
}

/** Ticks since a quorum was last heard; this member hears itself. */
export function quorumSilence(core: Core): number {
  const heard = quorumValue(core.membership, (member) =>
    member === core.self ? core.nowTick : (core.followers.get(member)?.heardTick ?? 0),
  )
  return core.nowTick - Math.min(heard, core.nowTick)
}

/**
 * Commits what a quorum holds on its disks, this member's included. R3: only an entry of the leader's
 * own term is committed by counting; those before it are carried along (§5.4.2).
 */
export function maybeCommit(core: Core): void {
  const index = quorumValue(core.membership, (member) =>
    member === core.self ? core.log.durable : (core.followers.get(member)?.match ?? 0),
  )
  if (index > core.commit && termAt(core.log, index) === core.term) commitTo(core, index)
}
