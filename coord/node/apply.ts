/**
 * Committed entries become state, in slices, and whoever waits for that is answered. Everything here
 * follows from the log alone (R4), but for the answers and the leader's clock over the leases.
 */
import type { MemberAttributes } from '../../proto/gen/raft.ts'
import type { Applied, KvCommand } from '../kv/types.ts'
import type { Entry } from '../raft/types.ts'
import { readCommand, readMemberEntry } from './command.ts'
import type { LogCommand } from './command.ts'
import { electionMs, isLeader, isLearner } from './core.ts'
import type { ReplicaCore } from './core.ts'
import { noteOwnRemoval } from './farewell.ts'
import { noteChanged } from './image-writer.ts'
import { applyLevel } from './level.ts'
import { noteRevoked } from './lease-desk.ts'
import { noteMemberApplied, releaseMembers } from './member-desk.ts'
import { isIn } from './member-table.ts'
import { noteOwnApplied } from './proposals.ts'
import { releaseReads } from './reads.ts'

export function hasToApply(core: ReplicaCore): boolean {
  return nextEntry(core) !== undefined && !core.isInstalling && !core.isStopped
}

/**
 * A change of the members waits until it is durable here that it is committed. Whoever is removed may
 * trust it then: nobody who refuses it can come to need its vote again, not even after a crash.
 */
function nextEntry({ toApply, applyOffset, durableCommit }: ReplicaCore): Entry | undefined {
  const entry = toApply[0]?.[applyOffset]
  return entry?.kind === 'membership' && entry.index > durableCommit ? undefined : entry
}

/** Applies one slice. */
export function applySlice(core: ReplicaCore): void {
  const { applyEntriesMax, applyBytesMax } = core.config.tuning
  let bytes = 0
  for (let count = 0; count < applyEntriesMax && bytes < applyBytesMax; count++) {
    if (core.isStopped) return
    const entry = takeEntry(core)
    if (!entry) break
    bytes += entry.data.length
    applyEntry(core, entry)
  }
  core.raft.applied(core.applied)
  core.watches.advance()
  noteChanged(core)
  maybeStartLessor(core)
  releaseReads(core)
  releaseMembers(core)
}

function takeEntry(core: ReplicaCore): Entry | undefined {
  const entry = nextEntry(core)
  if (!entry) return undefined
  core.applyOffset++
  if (core.applyOffset >= (core.toApply[0]?.length ?? 0)) {
    core.toApply.shift()
    core.applyOffset = 0
  }
  return entry
}

function applyEntry(core: ReplicaCore, entry: Entry): void {
  core.applied = entry.index
  core.appliedTerm = entry.term
  switch (entry.kind) {
    case 'empty':
      return
    case 'command':
      return applyCommand(core, entry)
    case 'membership':
      return applyMembership(core, entry)
  }
}

function applyCommand(core: ReplicaCore, entry: Entry): void {
  const { origin, seq, content } = readCommand(entry.data)
  if (!core.origins.admit(origin, seq, entry.index)) return
  const isOwn = origin === core.config.origin
  const applied = applyContent(core, content, entry.index)
  if (isOwn) noteOwnApplied(core, seq, applied)
  if (isOwn) noteMemberApplied(core, seq)
}

/** Gives the answer, if the command has one. */
function applyContent(core: ReplicaCore, content: LogCommand, index: number): Applied | undefined {
  switch (content.kind) {
    case 'kv':
      return applyKv(core, content.command, index)
    case 'member':
      applyAttributes(core, content.command)
      return undefined
    case 'level':
      applyLevel(core, content.level)
      return undefined
  }
}

function applyKv(core: ReplicaCore, command: KvCommand, index: number): Applied {
  // Watches see what goes before it goes.
  if (command.kind === 'compact') core.watches.advance()
  const applied = core.store.apply(command, index)
  if (applied.outcome.ok && core.lessor.isPrimary) tellLessor(core, command, applied)
  return applied
}

function tellLessor(core: ReplicaCore, command: KvCommand, { outcome }: Applied): void {
  if (!outcome.ok) return
  if (command.kind === 'lease-revoke') noteRevoked(core, command.request.id)
  else if (outcome.value.kind === 'lease-expire') {
    core.leases.expired += outcome.value.expired.length
    for (const lease of outcome.value.expired) noteRevoked(core, lease)
  } else if (command.kind === 'lease-grant') {
    const granted = core.store.lease(command.request.id)
    if (granted) core.lessor.granted(granted, core.nowMs)
  }
}

function applyAttributes(core: ReplicaCore, attributes: MemberAttributes): void {
  if (core.members.applyAttributes(attributes)) tellMembers(core)
}

export function tellMembers(core: ReplicaCore): void {
  const members = core.members.addresses().filter(({ member }) => member !== core.self)
  core.effects.push({ kind: 'members', members })
}

function applyMembership(core: ReplicaCore, entry: Entry): void {
  const { origin, seq, content } = readMemberEntry(entry.data)
  core.origins.admit(origin, seq, entry.index)
  const wasMember = core.members.get(core.self) !== undefined
  const wasVoter = !isLearner(core)
  core.membership = core.raft.applyMembership(content)
  core.members.applyEntry(content, core.membership)
  tellMembers(core)
  if (origin === core.config.origin) {
    noteOwnApplied(core, seq, undefined)
    noteMemberApplied(core, seq)
  }
  if (!wasMember || isIn(core.membership, core.self)) return
  noteOwnRemoval(core, wasVoter)
}

/**
 * A leader's clock starts once an entry of its own term is applied. Older expiries are applied by
 * then, so that none can undo a renewal that this leader has acknowledged (L2).
 */
function maybeStartLessor(core: ReplicaCore): void {
  const { status, appliedTerm, lessor } = core
  if (lessor.isPrimary || !isLeader(core) || appliedTerm !== status.term) return
  lessor.promote(core.nowMs, core.store.leases(), electionMs(core.config))
}
