/**
 * Majorities as arithmetic. A value that a majority has reached, and the outcome of a vote, are
 * functions of a set of voters; the empty set agrees with everything, so that a joint change falls
 * out as both halves at once.
 */
import type { MemberId, Membership } from './types.ts'

type Voters = readonly MemberId[]

/** The largest value that a majority of `voters` has reached; without voters no limit. */
export function majorityValue(voters: Voters, valueOf: (member: MemberId) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY
  const values = voters.map(valueOf).sort((a, b) => b - a)
  return values[voters.length >> 1] as number
}

/** The largest value that a majority of either half has reached. */
export function quorumValue(membership: Membership, valueOf: (member: MemberId) => number): number {
  const incoming = majorityValue(membership.voters, valueOf)
  if (membership.outgoing.length === 0) return incoming
  return Math.min(incoming, majorityValue(membership.outgoing, valueOf))
}

export type VoteResult = 'won' | 'lost' | 'pending'

/** What the votes given so far decide; votes of others than `voters` do not count. */
export function majorityVote(voters: Voters, votes: ReadonlyMap<MemberId, boolean>): VoteResult {
  const needed = (voters.length >> 1) + 1
  const granted = voters.filter((member) => votes.get(member) === true).length
  const refused = voters.filter((member) => votes.get(member) === false).length
  if (voters.length === 0 || granted >= needed) return 'won'
  return voters.length - refused < needed ? 'lost' : 'pending'
}

/** Won only with both halves, lost with either. */
export function quorumVote(
  membership: Membership,
  votes: ReadonlyMap<MemberId, boolean>,
): VoteResult {
  const incoming = majorityVote(membership.voters, votes)
  const outgoing = majorityVote(membership.outgoing, votes)
  if (incoming === outgoing) return incoming
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending'
}
