/**
 * Elections: standing for them, and voting in them. R1 and R3: one vote in a term, kept on disk, and
 * only for a candidate whose log holds at least what this one holds (§5.2, §5.4.1).
 */
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from './become.ts'
import { canCampaign, hasOpenChange, commitTo, send } from './core.ts'
import type { Core } from './core.ts'
import { lastIndex, lastTerm, termAt } from './log.ts'
import { votersOf } from './membership.ts'
import { quorumVote } from './quorum.ts'
import { NOBODY } from './types.ts'
import type { MemberId, Message } from './types.ts'

/** Starts an election, if this member may win one. A transfer skips the pre-vote. */
export function campaign(core: Core, isTransfer: boolean): void {
  if (!canCampaign(core)) return
  if (isTransfer) {
    askForVotes(core, true)
    return
  }
  becomePreCandidate(core)
  request(core, 'pre-vote', core.term + 1, false)
  countVotes(core)
}

/** Ticks until whoever was told that its leader is gone stands for election: the others hear of it meanwhile. */
const SOON_TICKS = { least: 2, lots: 3 } as const

/**
 * A leader that is gone need not be waited for. Whoever was told by mistake follows it again at its next
 * heartbeat: those who hear it do not answer pre-votes.
 */
export function reportGone(core: Core, member: MemberId): void {
  if (core.role !== 'follower' || core.leader !== member) return
  becomeFollower(core, core.term, NOBODY)
  const soon = SOON_TICKS.least + Math.floor(core.config.random() * SOON_TICKS.lots)
  core.electionTimeout = Math.min(core.electionTimeout, soon)
}

function askForVotes(core: Core, isTransfer: boolean): void {
  becomeCandidate(core)
  request(core, 'vote', core.term, isTransfer)
}

function request(core: Core, kind: 'pre-vote' | 'vote', term: number, isTransfer: boolean): void {
  const place = { lastIndex: lastIndex(core.log), lastTerm: lastTerm(core.log) }
  for (const member of votersOf(core.membership))
    if (member !== core.self) send(core, member, { kind, ...place, isTransfer }, term)
}

/** The candidate's own vote counts from the moment it is durable (R5). */
export function countOwnVote(core: Core): void {
  const { role, durable, term, self, votes } = core
  if (role !== 'candidate' || votes.has(self)) return
  if (durable.term !== term || durable.vote !== self) return
  votes.set(self, true)
  countVotes(core)
}

function countVotes(core: Core): void {
  const result = quorumVote(core.membership, core.votes)
  if (result === 'pending') return
  if (result === 'lost' || hasOpenChange(core)) becomeFollower(core, core.term, NOBODY)
  else if (core.role === 'pre-candidate') askForVotes(core, false)
  else if (core.votes.has(core.self)) becomeLeader(core)
}

type VoteRequest = Extract<Message, { readonly kind: 'pre-vote' | 'vote' }>
type VoteReply = Extract<Message, { readonly kind: 'pre-vote-reply' | 'vote-reply' }>

/** Answers a candidate; it speaks in this member's term, or for a pre-vote in a later one. */
export function answerVote(core: Core, message: VoteRequest): void {
  const { kind, from, term } = message
  const isFree = core.vote === NOBODY && core.leader === NOBODY
  const mayVote = core.vote === from || isFree || (kind === 'pre-vote' && term > core.term)
  const isGranted = mayVote && isUpToDate(core, message)
  if (kind === 'pre-vote') {
    answerPreVote(core, from, isGranted, isGranted ? term : core.term)
    return
  }
  if (isGranted) {
    core.vote = from
    core.electionElapsed = 0
  }
  send(core, from, { kind: 'vote-reply', isGranted })
}

/**
 * Says as well what is committed: a voter may not know yet that the change is in force without which
 * it cannot win, and whoever knows may have lost its own vote by that change.
 */
export function answerPreVote(core: Core, to: MemberId, isGranted: boolean, term: number): void {
  const { commit, log } = core
  const hintTerm = termAt(log, commit) ?? 0
  send(core, to, { kind: 'pre-vote-reply', isGranted, commit, hintTerm }, term)
}

/** Whether the candidate's log ends later than this one, or at the same place (§5.4.1). */
function isUpToDate(core: Core, candidate: VoteRequest): boolean {
  const mine = lastTerm(core.log)
  if (candidate.lastTerm !== mine) return candidate.lastTerm > mine
  return candidate.lastIndex >= lastIndex(core.log)
}

/** An answer to this member's own candidacy; the first of each voter counts. */
export function receiveVote(core: Core, message: VoteReply): void {
  const { kind, from, isGranted } = message
  const isMine = kind === 'pre-vote-reply' ? 'pre-candidate' : 'candidate'
  if (kind === 'pre-vote-reply') learnCommit(core, message.commit, message.hintTerm)
  if (core.role !== isMine || core.votes.has(from)) return
  core.votes.set(from, isGranted)
  countVotes(core)
}

/** R2: where both logs hold the same entry, what is committed there is committed here. */
function learnCommit(core: Core, commit: number, term: number): void {
  if (core.role !== 'leader' && commit > 0 && termAt(core.log, commit) === term)
    commitTo(core, commit)
}
