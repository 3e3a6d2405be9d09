/**
 * What the driver has to do, and what it reports. R5 and R6 meet here: whatever rests on a portion
 * leaves with it, and nothing counts as durable before the driver says so.
 */
import { assert } from '../../lib/assert.ts'
import { maybeLeaveJoint, maybeStepDown } from './change.ts'
import type { Core } from './core.ts'
import { countOwnVote } from './election.ts'
import { closePortions, entriesBetween, openPortion, takeUnhanded } from './log.ts'
import { maybeStartRound } from './reads.ts'
import { maybeCommit, sendAppends } from './replicate.ts'
import { NOBODY } from './types.ts'
import type { Entry, HardState, Ready } from './types.ts'

/** The next portion, or undefined when there is nothing to do. */
export function takeReady(core: Core): Ready | undefined {
  maybeStartRound(core)
  if (core.role === 'leader') sendAppends(core)
  maybeStepDown(core)
  const hardState = takeHardState(core)
  const { snapshot } = core
  const entries = takeUnhanded(core.log)
  const committed = takeCommitted(core)
  if (!hardState && !snapshot && entries.length + committed.length === 0 && isQuiet(core)) return
  const number = ++core.portion
  const isVoteNews = hardState !== undefined && isNewVote(core.handed, hardState)
  const mustSync = snapshot !== undefined || entries.length > 0 || isVoteNews
  if (hardState) core.handed = hardState
  if (mustSync) {
    openPortion(core.log, number, snapshot !== undefined)
    core.handedVotes.push({ portion: number, hardState: core.handed })
  }
  return { number, snapshot, hardState, entries, mustSync, committed, ...takeOutput(core) }
}

function isQuiet(core: Core): boolean {
  const { messages, messagesAfterSync, readsDone, readsFailed } = core
  return messages.length + messagesAfterSync.length + readsDone.length + readsFailed.length === 0
}

/** R5: term, vote and commit never go back. */
function takeHardState({ term, vote, commit, handed }: Core): HardState | undefined {
  if (handed.term === term && handed.vote === vote && handed.commit === commit) return undefined
  assert(term >= handed.term && commit >= handed.commit, 'R5: term or commit goes back')
  const isFirstVote = term > handed.term || handed.vote === NOBODY || handed.vote === vote
  assert(isFirstVote, `R5: a second vote in term ${term}`)
  return { term, vote, commit }
}

function isNewVote(before: HardState, after: HardState): boolean {
  return before.term !== after.term || before.vote !== after.vote
}

/** R6: what is committed elsewhere is still applied only once it is durable here. */
function takeCommitted(core: Core): readonly Entry[] {
  const last = Math.min(core.commit, core.log.durable)
  if (last <= core.appliedHanded) return []
  const committed = entriesBetween(core.log, core.appliedHanded + 1, last)
  core.appliedHanded = last
  return committed
}

type Output = Pick<Ready, 'messages' | 'messagesAfterSync' | 'reads' | 'failedReads'>

/** Messages that wait for nothing, because all before them is durable, leave at once. */
function takeOutput(core: Core): Output {
  const isAllDurable = core.log.portions.length === 0
  const { messages, messagesAfterSync, readsDone, readsFailed } = core
  const output: Output = {
    messages: isAllDurable ? [...messages, ...messagesAfterSync] : messages,
    messagesAfterSync: isAllDurable ? [] : messagesAfterSync,
    reads: readsDone,
    failedReads: readsFailed,
  }
  core.snapshot = undefined
  core.messages = []
  core.messagesAfterSync = []
  core.readsDone = []
  core.readsFailed = []
  return output
}

/** Everything up to and including portion `number` is durable: only now this member counts itself. */
export function persisted(core: Core, number: number): void {
  assert(number <= core.portion, `portion ${number} was never handed out`)
  closePortions(core.log, number)
  while (core.handedVotes[0] && core.handedVotes[0].portion <= number)
    core.durable = core.handedVotes.shift()?.hardState ?? core.durable
  if (core.role === 'leader') maybeCommit(core)
  countOwnVote(core)
}

/** Every entry up to `index` is applied. */
export function applied(core: Core, index: number): void {
  assert(index <= core.appliedHanded, `entry ${index} was never handed out to be applied`)
  core.applied = Math.max(core.applied, index)
  maybeLeaveJoint(core)
}
