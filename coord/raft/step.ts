/** Messages and ticks: the gate of terms (§5.1), and who handles what. */
import { becomeFollower } from './become.ts'
import { send } from './core.ts'
import type { Core } from './core.ts'
import { answerPreVote, answerVote, campaign, receiveVote } from './election.ts'
import {
  receiveAppend,
  receiveHeartbeat,
  receiveReadIndex,
  receiveSnapshot,
  receiveTimeoutNow,
} from './follower.ts'
import {
  receiveAppendReject,
  receiveAppendReply,
  receiveHeartbeatReply,
  receiveReadIndexRequest,
} from './leader.ts'
import { propose } from './propose.ts'
import { repeatRound, sendHeartbeats, startRound } from './reads.ts'
import { quorumSilence } from './replicate.ts'
import { maybeLeaveJoint } from './change.ts'
import { tickTransfer, transferLeadership } from './transfer.ts'
import { NOBODY } from './types.ts'
import type { Message } from './types.ts'

/** Takes in one message. */
export function step(core: Core, message: Message): void {
  if (message.to !== core.self) return
  if (message.term < core.term) answerOldTerm(core, message)
  else if (message.term === core.term || meetNewTerm(core, message)) dispatch(core, message)
}

/** An old leader, or a member that would become a candidate of the past, learns of the new term. */
function answerOldTerm(core: Core, { kind, from }: Message): void {
  if (kind === 'heartbeat' || kind === 'append')
    send(core, from, { kind: 'heartbeat-reply', context: 0 })
  else if (kind === 'pre-vote') answerPreVote(core, from, false, core.term)
}

/** Whether a message of a later term is to be looked at; most of them begin that term here. */
function meetNewTerm(core: Core, message: Message): boolean {
  const { kind, from, term } = message
  if (kind === 'pre-vote' || kind === 'vote') {
    if (hearsLeader(core) && !message.isTransfer) return false
    if (kind === 'pre-vote') return true
  }
  if (kind === 'pre-vote-reply' && message.isGranted) return true
  const isLeader = kind === 'append' || kind === 'heartbeat' || kind === 'snapshot'
  becomeFollower(core, term, isLeader ? from : NOBODY)
  return true
}

/** A member that hears a leader helps nobody to replace it (thesis §4.2.3). */
function hearsLeader({ role, leader, nowTick, contactTick, config }: Core): boolean {
  if (role === 'leader') return true
  return leader !== NOBODY && nowTick - contactTick < config.electionTicks
}

function dispatch(core: Core, message: Message): void {
  switch (message.kind) {
    case 'pre-vote':
    case 'vote':
      return answerVote(core, message)
    case 'pre-vote-reply':
    case 'vote-reply':
      return receiveVote(core, message)
    case 'append':
      return receiveAppend(core, message)
    case 'append-reply':
      return receiveAppendReply(core, message)
    case 'append-reject':
      return receiveAppendReject(core, message)
    case 'heartbeat':
      return receiveHeartbeat(core, message)
    case 'heartbeat-reply':
      return receiveHeartbeatReply(core, message)
    case 'snapshot':
      return receiveSnapshot(core, message)
    case 'propose':
      if (core.role === 'leader') propose(core, message.commands)
      return
    case 'read-index':
      return receiveReadIndexRequest(core, message)
    case 'read-index-reply':
      return receiveReadIndex(core, message)
    case 'transfer':
      if (core.role === 'leader') transferLeadership(core, message.target)
      return
    case 'timeout-now':
      return receiveTimeoutNow(core)
  }
}

/** One tick of time passes. */
export function tick(core: Core): void {
  core.nowTick++
  if (core.role === 'leader') tickLeader(core)
  else tickOther(core)
}

/** A leader that a quorum does not answer steps down (check-quorum). */
function tickLeader(core: Core): void {
  const { electionTicks, heartbeatTicks } = core.config
  if (quorumSilence(core) >= electionTicks) {
    becomeFollower(core, core.term, NOBODY)
    return
  }
  tickTransfer(core)
  maybeLeaveJoint(core)
  if (++core.heartbeatElapsed < heartbeatTicks) return
  core.heartbeatElapsed = 0
  if (core.readRounds.length > 0) startRound(core)
  else sendHeartbeats(core)
}

function tickOther(core: Core): void {
  repeatRound(core)
  if (++core.electionElapsed < core.electionTimeout) return
  core.electionElapsed = 0
  campaign(core, false)
  // Whoever may not stand for election still notices that its leader is gone.
  if (core.role === 'follower' && core.leader !== NOBODY) becomeFollower(core, core.term, NOBODY)
}
