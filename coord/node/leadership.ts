/** Who leads, as Raft sees it, and what changes with it. */
import { NOBODY } from '../raft/types.ts'
import type { MemberId } from '../raft/types.ts'
import type { ReplicaCore } from './core.ts'
import { resetDuties } from './duties.ts'
import { rerouteLeases } from './lease-desk.ts'
import { dropMembers, noteMoved } from './member-desk.ts'
import { resendProposals } from './proposals.ts'

/** Looks at Raft again; called before anything that depends on who leads. */
export function observeRaft(core: ReplicaCore): void {
  const before = core.status
  const status = core.raft.status()
  core.status = status
  if (before.role === 'leader' && (status.role !== 'leader' || status.term !== before.term))
    core.lessor.demote()
  noteLeaderless(core)
  const isSame = before.leader === status.leader && before.term === status.term
  if (isSame && before.role === status.role) return
  resetDuties(core)
  dropMembers(core)
  if (status.leader === NOBODY) return
  core.leaderChanges++
  noteMoved(core)
  resendProposals(core)
  rerouteLeases(core)
}

function noteLeaderless(core: ReplicaCore): void {
  if (core.status.leader !== NOBODY) core.leaderlessFromMs = undefined
  else if (Number.isFinite(core.nowMs)) core.leaderlessFromMs ??= core.nowMs
}

export function leaderlessMs({ leaderlessFromMs }: ReplicaCore, nowMs: number): number {
  return leaderlessFromMs === undefined ? 0 : nowMs - leaderlessFromMs
}

/** The voter that has most of the log among those that answer. */
export function bestFollower({ status, raft, membership }: ReplicaCore): MemberId {
  if (status.role !== 'leader') return NOBODY
  const able = raft
    .status()
    .followers.filter(({ member, isActive }) => isActive && membership.voters.includes(member))
  return able.toSorted((a, b) => b.match - a.match)[0]?.member ?? NOBODY
}
