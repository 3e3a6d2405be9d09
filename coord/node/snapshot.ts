/** A whole state that arrives from the leader, in place of entries that are no longer there. */
import { assert } from '../../lib/assert.ts'
import type { Message } from '../raft/types.ts'
import { applySlice, hasToApply, tellMembers } from './apply.ts'
import type { ReplicaCore } from './core.ts'
import { createMemberTable } from './member-table.ts'
import { createOrigins } from './origins.ts'
import { releaseMembers } from './member-desk.ts'
import { noteOwnSwallowed } from './proposals.ts'
import { releaseReads } from './reads.ts'
import { settle } from './settle.ts'
import type { LoadedState } from './types.ts'

/** Offers it to Raft, which takes it only when everything before it is applied; says whether it is wanted. */
export function stepSnapshot(
  core: ReplicaCore,
  message: Message & { readonly kind: 'snapshot' },
): boolean {
  if (core.isStopped || core.isInstalling || !core.formation.kept.isFormed) return false
  settle(core)
  while (hasToApply(core)) {
    applySlice(core)
    settle(core)
  }
  if (core.isStopped) return false
  core.raft.step(message)
  settle(core)
  return core.isInstalling
}

/** The image holds it; from here on it is the state. */
export function installState(core: ReplicaCore, state: LoadedState): void {
  assert(core.isInstalling && state.mark.index > core.applied, 'no snapshot was to be installed')
  core.isInstalling = false
  core.store = state.store
  core.members = createMemberTable(state.members.values(), state.removed)
  core.origins = createOrigins(state.origins)
  core.level = { ...core.level, now: state.level, isChanged: false }
  core.membership = state.mark.membership
  core.applied = state.mark.index
  core.appliedTerm = state.mark.term
  core.durableCommit = Math.max(core.durableCommit, state.mark.index)
  core.image.marked = state.mark.index
  core.image.sinceMs = undefined
  noteOwnSwallowed(core, state.origins.get(core.config.origin)?.seq ?? 0)
  core.watches.replaceStore(state.store)
  tellMembers(core)
  releaseReads(core)
  releaseMembers(core)
}
