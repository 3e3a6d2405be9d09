/**
 * What follows from the inputs of a turn: Raft's portions become effects, in the order that makes them
 * safe, and committed entries are applied.
 */
import type { Message, Ready } from '../raft/types.ts'
import type { WalBatch } from '../wal/wal.ts'
import { applySlice, hasToApply } from './apply.ts'
import type { ReplicaCore } from './core.ts'
import { observeRaft } from './leadership.ts'
import { flushMembers } from './member-desk.ts'
import { flushProposals } from './proposals.ts'
import { flushReads, noteConfirmed, noteFailed, releaseReads } from './reads.ts'
import type { Effect, Outgoing } from './types.ts'

/** Until nothing follows any more, but at most one slice of entries. */
export function settle(core: ReplicaCore): void {
  if (!core.formation.kept.isFormed) return
  let isSliceLeft = true
  for (;;) {
    observeRaft(core)
    flushMembers(core)
    flushProposals(core)
    flushReads(core)
    const ready = core.raft.takeReady()
    if (ready) handleReady(core, ready)
    if (isSliceLeft && hasToApply(core)) {
      isSliceLeft = false
      observeRaft(core)
      applySlice(core)
    } else if (!ready) return
    if (core.isStopped) return
  }
}

function handleReady(core: ReplicaCore, ready: Ready): void {
  for (const message of ready.messages) core.effects.push(sendEffect(core, message))
  if (ready.snapshot) {
    core.isInstalling = true
    core.effects.push({ kind: 'install', mark: ready.snapshot })
  }
  persist(core, ready)
  if (ready.committed.length > 0) core.toApply.push(ready.committed)
  for (const { context, index } of ready.reads) noteConfirmed(core, context, index)
  for (const context of ready.failedReads) noteFailed(core, context)
  if (ready.reads.length === 0) return
  observeRaft(core)
  releaseReads(core)
}

function sendEffect({ raft }: ReplicaCore, message: Message): Effect {
  const { to } = message
  return message.kind === 'snapshot'
    ? { kind: 'send-snapshot', to, message, image: raft.status().firstIndex - 1 }
    : { kind: 'send', to, message: { kind: 'raft', message } }
}

/**
 * A portion that nothing rests on is not written by itself: what it says of the commit index goes with
 * the next one, unless a change of the members waits for that. But messages that wait for earlier portions wait with a batch of their own.
 */
function persist(core: ReplicaCore, ready: Ready): void {
  const { number, snapshot, entries, messagesAfterSync, committed } = ready
  core.heldHardState = ready.hardState ?? core.heldHardState
  const hasChange = committed.some(({ kind }) => kind === 'membership')
  const mustSync = ready.mustSync || (hasChange && core.heldHardState !== undefined)
  if (!mustSync && messagesAfterSync.length === 0) return
  const hardState = mustSync ? core.heldHardState : undefined
  if (hardState) {
    core.heldHardState = undefined
    core.commitsToDisk.push({ number, commit: hardState.commit })
  }
  const batch: WalBatch = {
    ...(snapshot && { mark: snapshot }),
    ...(hardState && { hardState }),
    entries,
  }
  const thenSend = messagesAfterSync.map((message): Outgoing => ({
    to: message.to,
    message: { kind: 'raft', message },
  }))
  core.effects.push({ kind: 'persist', number, batch, thenSend })
}

/** Everything up to portion `number` is on the disk, what it says of the commit index included. */
export function noteDurable(core: ReplicaCore, number: number): void {
  const { commitsToDisk } = core
  for (let head = commitsToDisk[0]; head && head.number <= number; head = commitsToDisk[0]) {
    core.durableCommit = Math.max(core.durableCommit, head.commit)
    commitsToDisk.shift()
  }
}
