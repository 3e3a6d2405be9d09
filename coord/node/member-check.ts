/**
 * Whether a change of the membership may be proposed now. Beside what makes no sense, refused is what
 * would leave the cluster without a majority that is up at this moment.
 */
import { NOBODY } from '../raft/types.ts'
import type { FollowerView, MemberId } from '../raft/types.ts'
import type { ReplicaCore } from './core.ts'
import type { NodeErrorCode } from './node.ts'
import { REPLACE_LEVEL } from './protocol.ts'
import type { MemberQuestion } from './transport.ts'

/** Entries that a learner may lag behind and still count as in sync. */
export const IN_SYNC_ENTRIES = 100

export function checkQuestion(
  core: ReplicaCore,
  question: MemberQuestion,
): NodeErrorCode | undefined {
  switch (question.kind) {
    case 'add':
      return question.replaces === NOBODY
        ? checkAdd(core, question.peerUrls, question.isLearner)
        : checkReplace(core, question)
    case 'remove':
      return core.members.get(question.member)
        ? checkRemove(core, question.member)
        : 'member-not-found'
    case 'update':
      if (!core.members.get(question.member)) return 'member-not-found'
      return hasUrls(core, question.peerUrls, question.member) ? 'peer-urls-exist' : undefined
    case 'promote':
      return checkPromote(core, question.member)
  }
}

function checkAdd(
  core: ReplicaCore,
  peerUrls: readonly string[],
  learns: boolean,
): NodeErrorCode | undefined {
  if (hasUrls(core, peerUrls)) return 'peer-urls-exist'
  const { learners, voters } = core.membership
  if (learns)
    return learners.length >= core.config.tuning.learnersMax ? 'too-many-learners' : undefined
  const needed = majority(voters.length + 1)
  if (voters.filter((id) => isStarted(core, id)).length < needed) return 'not-enough-started'
  return activeOf(core, voters).length < needed ? 'unhealthy' : undefined
}

/** The newcomer may have the address of the one it replaces: that one is gone, or has to be by then. */
function checkReplace(
  core: ReplicaCore,
  { peerUrls, isLearner: learns, replaces }: Extract<MemberQuestion, { readonly kind: 'add' }>,
): NodeErrorCode | undefined {
  const { learners, voters } = core.membership
  if (core.level.now < REPLACE_LEVEL) return 'not-everywhere'
  if (!learns) return 'not-a-learner'
  if (!voters.includes(replaces)) return 'member-not-found'
  if (learners.some((id) => core.members.get(id)?.replaces === replaces)) return 'member-exists'
  if (hasUrls(core, peerUrls, replaces)) return 'peer-urls-exist'
  return learners.length >= core.config.tuning.learnersMax ? 'too-many-learners' : undefined
}

function hasUrls(core: ReplicaCore, peerUrls: readonly string[], but?: MemberId): boolean {
  return core.members
    .addresses()
    .some((other) => other.member !== but && other.peerUrls.some((url) => peerUrls.includes(url)))
}

function checkRemove(core: ReplicaCore, member: MemberId): NodeErrorCode | undefined {
  const { voters } = core.membership
  if (!voters.includes(member)) return undefined
  const others = voters.filter((id) => id !== member)
  const needed = majority(others.length)
  if (others.filter((id) => isStarted(core, id)).length < needed) return 'not-enough-started'
  return activeOf(core, others).length < needed ? 'unhealthy' : undefined
}

function checkPromote(core: ReplicaCore, member: MemberId): NodeErrorCode | undefined {
  if (!core.members.get(member)) return 'member-not-found'
  const { learners, voters } = core.membership
  if (!learners.includes(member)) return 'not-a-learner'
  if (!isInSync(core, member)) return 'learner-not-ready'
  const next = votersWith(core, member)
  // A swap needs both majorities while it lasts; one voter more needs that of all.
  const halves = next.length > voters.length ? [next] : [voters, next]
  const isHealthy = halves.every((half) => activeOf(core, half).length >= majority(half.length))
  return isHealthy ? undefined : 'unhealthy'
}

/** The voters once this learner is one of them: in the place of the one it replaces, if that still votes. */
export function votersWith(core: ReplicaCore, member: MemberId): readonly MemberId[] {
  const { voters } = core.membership
  const replaced = core.members.get(member)?.replaces ?? NOBODY
  return [...voters.filter((id) => id !== replaced), member]
}

export function isInSync(core: ReplicaCore, member: MemberId): boolean {
  const { commit } = core.status
  const view = viewOf(core, member)
  if (!view?.isActive || view.state !== 'replicate') return false
  return view.match >= commit - IN_SYNC_ENTRIES
}

function viewOf(core: ReplicaCore, member: MemberId): FollowerView | undefined {
  return core.status.followers.find((view) => view.member === member)
}

function majority(count: number): number {
  return Math.floor(count / 2) + 1
}

/** A member has a name once it has run. */
function isStarted({ members }: ReplicaCore, member: MemberId): boolean {
  return (members.get(member)?.name ?? '') !== ''
}

function activeOf(core: ReplicaCore, members: readonly MemberId[]): readonly MemberId[] {
  return members.filter((id) => id === core.self || viewOf(core, id)?.isActive)
}
