/** The only place where role, term, vote and leader change. R1: a term has at most one leader. */
import { assert } from '../../lib/assert.ts'
import { addEntries, drawElectionTimeout, lastChangeIndex } from './core.ts'
import type { Core } from './core.ts'
import { entriesBetween, entryBytes, lastIndex } from './log.ts'
import { isVoter, membersOf } from './membership.ts'
import { createProgress } from './progress.ts'
import { quorumVote } from './quorum.ts'
import { failReads } from './reads.ts'
import { NOBODY } from './types.ts'
import type { MemberId } from './types.ts'

/** Follows `leader`, or nobody yet, in `term`. */
export function becomeFollower(core: Core, term: number, leader: MemberId): void {
  assert(term >= core.term, 'R5: terms never fall')
  enterTerm(core, term)
  core.role = 'follower'
  core.leader = leader
}

/** A message of this term's leader arrived. */
export function followLeader(core: Core, leader: MemberId): void {
  assert(core.role !== 'leader', `R1: two leaders in term ${core.term}`)
  assert(core.leader === NOBODY || core.leader === leader, `R1: two leaders in term ${core.term}`)
  if (core.role !== 'follower' || core.leader !== leader) becomeFollower(core, core.term, leader)
  core.electionElapsed = 0
  core.contactTick = core.nowTick
}

/** Asks whether an election could be won, without moving the term (pre-vote). */
export function becomePreCandidate(core: Core): void {
  assert(core.role !== 'leader', 'a leader does not stand for election')
  enterTerm(core, core.term)
  core.role = 'pre-candidate'
  core.votes.set(core.self, true)
}

/** Stands for election in the next term. Its own vote counts once it is durable. */
export function becomeCandidate(core: Core): void {
  assert(core.role !== 'leader', 'a leader does not stand for election')
  enterTerm(core, core.term + 1)
  core.role = 'candidate'
  core.vote = core.self
}

/** Opens its term with an empty entry, so that what older terms left can be committed (§5.4.2). */
export function becomeLeader(core: Core): void {
  assert(core.role === 'candidate', 'only a candidate wins an election')
  assert(quorumVote(core.membership, core.votes) === 'won', 'R1: elected without a quorum')
  assert(isVoter(core.membership, core.self), 'only a voter leads')
  const { durable, term, self, log } = core
  assert(durable.term === term && durable.vote === self, 'R5: elected before its vote is durable')
  enterTerm(core, term)
  core.role = 'leader'
  core.leader = self
  for (const member of membersOf(core.membership))
    if (member !== self)
      core.followers.set(member, createProgress(lastIndex(log) + 1, core.nowTick))
  core.changeIndex = lastChangeIndex(core)
  for (const entry of entriesBetween(log, core.commit + 1, lastIndex(log)))
    core.uncommittedBytes += entryBytes(entry)
  addEntries(core, 'empty', [new Uint8Array(0)])
}

/** Leaves behind whatever belonged to the role and the term before. */
function enterTerm(core: Core, term: number): void {
  failReads(core)
  if (term !== core.term) {
    core.term = term
    core.vote = NOBODY
    // Promises of a term that is over: the entries behind them may be replaced in the same portion.
    core.messagesAfterSync = []
  }
  core.leader = NOBODY
  core.electionElapsed = 0
  core.electionTimeout = drawElectionTimeout(core.config)
  core.heartbeatElapsed = 0
  core.votes.clear()
  core.followers.clear()
  core.transferee = NOBODY
  core.transferElapsed = 0
  core.uncommittedBytes = 0
  core.changeIndex = 0
  core.leavingIndex = 0
}
