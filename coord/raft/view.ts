/** The state as others may see it. */
import type { Core } from './core.ts'
import { lastIndex } from './log.ts'
import { isActive, quorumSilence } from './replicate.ts'
import type { FollowerView, RaftStatus } from './types.ts'

/** A copy: what happens later does not change it. */
export function viewStatus(core: Core): RaftStatus {
  const { self, role, term, vote, leader, commit, applied, membership, transferee, log } = core
  return {
    self,
    role,
    term,
    vote,
    leader,
    commit,
    applied,
    firstIndex: log.markIndex + 1,
    lastIndex: lastIndex(log),
    membership,
    transferee,
    followers: viewFollowers(core),
    ticksSinceContact: role === 'leader' ? quorumSilence(core) : core.nowTick - core.contactTick,
    uncommittedBytes: core.uncommittedBytes,
    logBytes: log.bytes,
  }
}

function viewFollowers(core: Core): FollowerView[] {
  return [...core.followers].map(([member, progress]) => ({
    member,
    match: progress.match,
    state: progress.state,
    isActive: isActive(core, progress),
    isLearner: core.membership.learners.includes(member),
    inflight: progress.inflight.length,
  }))
}
