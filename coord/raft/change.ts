/**
 * Membership changes: one at a time, proposed by a leader that has committed in its term, in force
 * from the moment they are applied. An entry without data leaves a joint change; the leader adds it
 * by itself.
 */
import { assert } from '../../lib/assert.ts'
import { becomeFollower } from './become.ts'
import { addEntries, send } from './core.ts'
import type { Core } from './core.ts'
import { lastIndex } from './log.ts'
import { changeMembership, isJoint, isVoter, membersOf } from './membership.ts'
import { createProgress } from './progress.ts'
import { confirmRounds, hasCommittedInTerm } from './reads.ts'
import { maybeCommit } from './replicate.ts'
import { NOBODY } from './types.ts'
import type { MemberId, Membership, MembershipChange, Outcome } from './types.ts'

/** Only a leader adds a change, and only when none is on its way. */
export function proposeMembership(core: Core, data: Uint8Array, change: MembershipChange): Outcome {
  assert(data.length > 0, 'an entry without data leaves a joint change')
  if (core.role !== 'leader') return 'no-leader'
  if (core.transferee !== NOBODY || core.leavingIndex > 0) return 'transferring'
  if (!isSettled(core) || !changeMembership(core.membership, change)) return 'refused'
  addEntries(core, 'membership', [data])
  return 'accepted'
}

/** Two changes on their way at once, or one over a log whose end is unsure, could part the quorums. */
function isSettled(core: Core): boolean {
  return core.changeIndex <= core.applied && hasCommittedInTerm(core)
}

/** Leaves a joint change that is in force, unless it waits for somebody to ask for that. */
export function maybeLeaveJoint(core: Core): void {
  if (core.role !== 'leader' || core.transferee !== NOBODY) return
  const { membership } = core
  if (isJoint(membership) && membership.autoLeave && isSettled(core))
    addEntries(core, 'membership', [new Uint8Array(0)])
}

/** A membership entry is applied; one that makes no sense (any more) changes nothing anywhere. */
export function applyMembership(core: Core, change: MembershipChange): Membership {
  core.membership = changeMembership(core.membership, change) ?? core.membership
  const isCounted = isVoter(core.membership, core.self)
  if (core.role === 'leader') adoptMembership(core)
  else if (!isCounted && core.role !== 'follower') becomeFollower(core, core.term, NOBODY)
  return core.membership
}

/**
 * A leader without a vote stays until a quorum of the others has an entry that it appended after its
 * removal was committed: with it they know of that. Had it gone before, those left behind might still
 * count on its vote, which it can no longer win with, nor they without.
 */
export function maybeStepDown(core: Core): void {
  if (core.role !== 'leader' || core.leavingIndex === 0 || core.commit < core.leavingIndex) return
  const { voters } = core.membership
  const matchOf = (member: MemberId): number => core.followers.get(member)?.match ?? 0
  const heir = voters.toSorted((a, b) => matchOf(b) - matchOf(a))[0]
  if (heir !== undefined) send(core, heir, { kind: 'timeout-now' })
  becomeFollower(core, core.term, NOBODY)
}

/** Less may be needed now for a commit or a read. */
function adoptMembership(core: Core): void {
  const { followers, membership, self } = core
  const members = membersOf(membership)
  for (const member of followers.keys()) if (!members.includes(member)) followers.delete(member)
  for (const member of members)
    if (member !== self && !followers.has(member))
      followers.set(member, createProgress(lastIndex(core.log) + 1, core.nowTick))
  if (!membership.voters.includes(core.transferee)) core.transferee = NOBODY
  if (isVoter(membership, self)) core.leavingIndex = 0
  else if (core.leavingIndex === 0) {
    addEntries(core, 'empty', [new Uint8Array(0)])
    core.leavingIndex = lastIndex(core.log)
  }
  maybeCommit(core)
  confirmRounds(core)
}
