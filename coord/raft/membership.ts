/**
 * Who counts, and how that changes. Two neighbouring memberships always share a majority: a change
 * moves one voter in one step, or any number through a joint membership that needs both majorities.
 */
import type { MemberChange, MemberId, Membership, MembershipChange } from './types.ts'

/** Every member, each once. */
export function membersOf(membership: Membership): MemberId[] {
  return [...new Set([...votersOf(membership), ...membership.learners])]
}

/** Every member whose vote counts in either half, each once. */
export function votersOf({ voters, outgoing }: Membership): readonly MemberId[] {
  if (outgoing.length === 0) return voters
  return [...new Set([...voters, ...outgoing])]
}

export function isVoter({ voters, outgoing }: Membership, member: MemberId): boolean {
  return voters.includes(member) || outgoing.includes(member)
}

export function isJoint({ outgoing }: Membership): boolean {
  return outgoing.length > 0
}

/** The membership after `change`, or undefined when it makes no sense now. */
export function changeMembership(
  now: Membership,
  { changes, joint }: MembershipChange,
): Membership | undefined {
  if (isJoint(now)) return changes.length === 0 ? leaveJoint(now) : undefined
  if (changes.length === 0 || new Set(changes.map(({ member }) => member)).size < changes.length)
    return undefined
  const goesThroughJoint = joint || changes.length > 1
  let next: Membership = now
  for (const change of changes) {
    const changed = changeOne(next, change)
    if (!changed) return undefined
    next = changed
  }
  if (next.voters.length === 0) return undefined
  return goesThroughJoint ? enterJoint(now, next) : next
}

function changeOne(now: Membership, { kind, member }: MemberChange): Membership | undefined {
  const isVoting = now.voters.includes(member)
  const isLearning = now.learners.includes(member)
  const voters = now.voters.filter((id) => id !== member)
  const learners = now.learners.filter((id) => id !== member)
  switch (kind) {
    case 'add-voter':
      return isVoting ? undefined : { ...now, voters: sorted([...voters, member]), learners }
    case 'add-learner':
      return isLearning ? undefined : { ...now, voters, learners: sorted([...learners, member]) }
    case 'remove':
      return isVoting || isLearning ? { ...now, voters, learners } : undefined
  }
}

/** A voter on its way to being a learner still votes in the outgoing half, so it waits aside. */
function enterJoint(now: Membership, next: Membership): Membership {
  return {
    voters: next.voters,
    outgoing: now.voters,
    learners: next.learners.filter((id) => !now.voters.includes(id)),
    learnersNext: next.learners.filter((id) => now.voters.includes(id)),
    autoLeave: true,
  }
}

function leaveJoint({ voters, learners, learnersNext }: Membership): Membership {
  return {
    voters,
    outgoing: [],
    learners: sorted([...learners, ...learnersNext]),
    learnersNext: [],
    autoLeave: false,
  }
}

function sorted(ids: readonly MemberId[]): MemberId[] {
  return ids.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}
