/** What a member does with the words of its leader. */
import { followLeader } from './become.ts'
import { commitTo, send } from './core.ts'
import type { Core } from './core.ts'
import { campaign } from './election.ts'
import { isResetting, lastAtOrBelowTerm, lastIndex, mergeEntries, resetLog, termAt } from './log.ts'
import { endRounds } from './reads.ts'
import type { Message, SnapshotMark } from './types.ts'

type Of<K extends Message['kind']> = Extract<Message, { readonly kind: K }>

/** Takes over entries that follow a place where both logs agree (R2); names a better place otherwise. */
export function receiveAppend(core: Core, message: Of<'append'>): void {
  const { from, prevIndex, prevTerm, entries } = message
  followLeader(core, from)
  if (prevIndex < core.commit) {
    send(core, from, { kind: 'append-reply', index: core.commit })
    return
  }
  if (termAt(core.log, prevIndex) !== prevTerm) {
    const last = Math.min(prevIndex, lastIndex(core.log))
    const hintIndex = lastAtOrBelowTerm(core.log, last, prevTerm)
    const hintTerm = termAt(core.log, hintIndex) ?? 0
    send(core, from, { kind: 'append-reject', index: prevIndex, hintIndex, hintTerm })
    return
  }
  mergeEntries(core.log, entries, core.commit)
  const index = prevIndex + entries.length
  // Mere news of a commit rests on what was acknowledged; if that answer was lost, the leader asks on.
  const commit = Math.min(message.commit, index)
  const isNewsOnly = entries.length === 0 && commit > core.commit
  commitTo(core, commit)
  if (!isNewsOnly) send(core, from, { kind: 'append-reply', index })
}

/** The leader lives. What it says is committed is on this disk, for it was acknowledged. */
export function receiveHeartbeat(core: Core, { from, commit, context }: Of<'heartbeat'>): void {
  followLeader(core, from)
  commitTo(core, commit)
  send(core, from, { kind: 'heartbeat-reply', context })
}

/** A snapshot has arrived whole. One that brings nothing new is refused, a second one ignored (§7). */
export function receiveSnapshot(core: Core, { from, mark }: Of<'snapshot'>): void {
  followLeader(core, from)
  const isBusy = core.snapshot !== undefined || isResetting(core.log)
  const isApplying = core.applied < core.appliedHanded
  const isKnown = termAt(core.log, mark.index) === mark.term
  if (mark.index > core.commit && !isKnown) {
    if (isBusy || isApplying) return
    install(core, mark)
  } else if (isKnown) commitTo(core, mark.index)
  send(core, from, { kind: 'append-reply', index: core.commit })
}

function install(core: Core, mark: SnapshotMark): void {
  resetLog(core.log, mark.index, mark.term, core.commit)
  core.snapshot = mark
  core.commit = mark.index
  core.applied = mark.index
  core.appliedHanded = mark.index
  core.membership = mark.membership
}

/** The leader hands over: stands for election without asking whether it could win. */
export function receiveTimeoutNow(core: Core): void {
  if (core.role === 'follower') campaign(core, true)
}

/** The leader has answered the reads of this member; a late word to an earlier life of it answers nothing. */
export function receiveReadIndex(core: Core, { context, index }: Of<'read-index-reply'>): void {
  const isKnown = core.readRounds.some((round) => round.context === context)
  if (core.role === 'follower' && isKnown) endRounds(core, context, index)
}
