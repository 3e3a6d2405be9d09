/** What a leader does with the words of the others. All but a leader drop these. */
import { assert } from '../../lib/assert.ts'
import type { Core } from './core.ts'
import { lastAtOrBelowTerm, lastIndex } from './log.ts'
import { noteMatch, noteRejected, startProbing, startReplicating } from './progress.ts'
import type { Progress } from './progress.ts'
import { confirmRounds } from './reads.ts'
import { maybeCommit, sendAppend } from './replicate.ts'
import { maybeHandOver } from './transfer.ts'
import type { MemberId, Message } from './types.ts'

type Of<K extends Message['kind']> = Extract<Message, { readonly kind: K }>

/** The follower whom a message is from, marked as heard; undefined on all but a leader, and for strangers. */
function hear(core: Core, { from }: Message): Progress | undefined {
  const progress = core.role === 'leader' ? core.followers.get(from) : undefined
  if (progress) progress.heardTick = core.nowTick
  return progress
}

/** The follower has everything up to `index` on its disk. */
export function receiveAppendReply(core: Core, message: Of<'append-reply'>): void {
  const progress = hear(core, message)
  if (!progress) return
  assert(message.index <= lastIndex(core.log), 'R2: a follower acknowledged what was never sent')
  const isNews = noteMatch(progress, message.index)
  const isFound = progress.state === 'probe' && message.index === progress.match
  const isCaughtUp = progress.state === 'snapshot' && progress.match >= core.log.markIndex
  if (isFound || (isNews && isCaughtUp)) startReplicating(progress)
  if (!isNews) return
  maybeCommit(core)
  maybeHandOver(core, message.from)
}

/** The logs part before `index`: looks for the place with the hint, one term at a time at the least. */
export function receiveAppendReject(core: Core, message: Of<'append-reject'>): void {
  const progress = hear(core, message)
  if (!progress) return
  const { index, hintIndex, hintTerm } = message
  noteRejected(progress, index, lastAtOrBelowTerm(core.log, hintIndex, hintTerm))
}

/** Confirms read rounds; also moves on what a lost append has held up. */
export function receiveHeartbeatReply(core: Core, message: Of<'heartbeat-reply'>): void {
  const progress = hear(core, message)
  if (!progress) return
  progress.confirmedContext = Math.max(progress.confirmedContext, message.context)
  confirmRounds(core)
  if (core.nowTick - progress.sentTick < core.config.heartbeatTicks) return
  progress.isPaused = false
  if (progress.state === 'replicate' && progress.match < lastIndex(core.log))
    sendAppend(core, message.from, progress)
}

/** A follower's reads join the next round. */
export function receiveReadIndexRequest(core: Core, message: Of<'read-index'>): void {
  if (!hear(core, message)) return
  core.readsWaiting.push({ from: message.from, context: message.context })
}

/** The driver is done with a snapshot: waits for the follower's own word before sending more. */
export function reportSnapshot(core: Core, member: MemberId, isDelivered: boolean): void {
  const progress = core.followers.get(member)
  if (progress?.state !== 'snapshot') return
  if (!isDelivered) progress.snapshotIndex = 0
  startProbing(progress)
  progress.isPaused = true
  progress.sentTick = core.nowTick
}

/** What was sent may be lost. */
export function reportUnreachable(core: Core, member: MemberId): void {
  const progress = core.followers.get(member)
  if (progress?.state === 'replicate') startProbing(progress)
}
