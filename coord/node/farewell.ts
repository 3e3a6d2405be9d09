/**
 * How a member that was removed goes. Those who stay may still count on its vote: they learn of the
 * change after it does, and may crash before they have. So it answers clients no more but goes on with
 * Raft, until a majority of the others refuses it as removed, which they do only once that is durable
 * with them. When one has said so and the rest is silent for long, that is enough.
 */
import type { MemberId } from '../raft/types.ts'
import { electionMs, isLeader, sendTo } from './core.ts'
import type { ReplicaCore } from './core.ts'
import { stopLeases } from './lease-desk.ts'
import { acceptOwnRemoval } from './member-desk.ts'
import type { FarewellState } from './parts.ts'
import { stopProposals } from './proposals.ts'
import { stopReads } from './reads.ts'

export function createFarewell(): FarewellState {
  return { isRemoved: false, toldBy: new Set(), toldFromMs: undefined, requests: [] }
}

const PATIENCE_ELECTIONS = 20

/** The removal of this member is applied. A learner owes nobody a vote and goes at once. */
export function noteOwnRemoval(core: ReplicaCore, wasVoter: boolean): void {
  core.farewell.isRemoved = true
  stopProposals(core)
  stopReads(core)
  stopLeases(core)
  if (!wasVoter) leave(core)
}

/** A member does not listen any more: it has applied the removal of this one. */
export function noteRefused(core: ReplicaCore, member: MemberId): void {
  const { farewell, membership, self } = core
  if (core.isStopped) return
  farewell.toldBy.add(member)
  farewell.toldFromMs ??= core.nowMs
  const others = membership.voters.filter((id) => id !== self)
  const told = others.filter((id) => farewell.toldBy.has(id)).length
  if (told * 2 > others.length) leave(core)
}

/** Says a word to the others now and then, so that they can say that this member is not wanted. */
export function tickFarewell(core: ReplicaCore): void {
  const { farewell, nowMs, self } = core
  const { isRemoved, toldFromMs } = farewell
  if (!isRemoved && toldFromMs === undefined) return
  const patienceMs = PATIENCE_ELECTIONS * electionMs(core.config)
  if (toldFromMs !== undefined && nowMs - toldFromMs >= patienceMs) return leave(core)
  if (isLeader(core)) return
  const nothing = { outcome: 'not-leader', ttlMs: 0, revision: 0 } as const
  for (const { member } of core.members.addresses())
    if (member !== self) sendTo(core, member, { kind: 'lease-answer', id: 0, answer: nothing })
}

/** Only now are those told who asked for it here: they may throw the disk away. */
function leave(core: ReplicaCore): void {
  acceptOwnRemoval(core)
  core.isStopped = true
  core.effects.push({ kind: 'stop', reason: { kind: 'removed' } })
}
