/**
 * Linearizable reads without the log. One round serves all reads that wait: a leader asks its quorum
 * whether it still leads, a follower asks its leader. Each round has a context that was never used
 * before; whoever confirms a round confirms all before it, never one that began later. A round whose
 * answers were lost is therefore followed by a new one, not asked again (etcd 20418).
 */
import { send } from './core.ts'
import type { Core, ReadRequest } from './core.ts'
import { termAt } from './log.ts'
import { quorumValue } from './quorum.ts'
import { NOBODY } from './types.ts'
import type { Outcome } from './types.ts'

/** Takes in a read of this member. */
export function requestRead(core: Core): { readonly outcome: Outcome; readonly context: number } {
  const context = core.nextContext++
  if (core.leader === NOBODY) return { outcome: 'no-leader', context }
  core.readsWaiting.push({ from: core.self, context })
  return { outcome: core.role === 'leader' ? 'accepted' : 'forwarded', context }
}

/** Begins a round for the reads that wait, unless one is under way. */
export function maybeStartRound(core: Core): void {
  if (core.readsWaiting.length > 0 && core.readRounds.length === 0) startRound(core)
}

/** Time passed: a round without an answer is followed by a new one. */
export function repeatRound(core: Core): void {
  if (core.role === 'leader' || core.readRounds.length === 0) return
  if (core.nowTick - core.readTick >= core.config.heartbeatTicks) startRound(core)
}

/** Begins a round with a fresh context; a leader that has not committed in its term waits (§8). */
export function startRound(core: Core): void {
  const { leader, self, commit } = core
  if (leader === NOBODY || (leader === self && !hasCommittedInTerm(core))) return
  const context = core.nextContext++
  core.readRounds.push({ context, index: commit, requests: core.readsWaiting })
  core.readsWaiting = []
  core.readTick = core.nowTick
  if (leader === self) {
    sendHeartbeats(core)
    confirmRounds(core)
  } else send(core, leader, { kind: 'read-index', context })
}

export function hasCommittedInTerm(core: Core): boolean {
  return termAt(core.log, core.commit) === core.term
}

/** To every follower: the leader lives, this is committed, and the newest round wants an answer. */
export function sendHeartbeats(core: Core): void {
  const context = core.readRounds.at(-1)?.context ?? 0
  for (const [member, { match }] of core.followers)
    send(core, member, { kind: 'heartbeat', commit: Math.min(match, core.commit), context })
}

/** Ends the rounds that a quorum has confirmed on this leader. */
export function confirmRounds(core: Core): void {
  if (core.readRounds.length === 0) return
  const confirmed = quorumValue(core.membership, (member) =>
    member === core.self
      ? Number.POSITIVE_INFINITY
      : (core.followers.get(member)?.confirmedContext ?? 0),
  )
  endRounds(core, confirmed)
}

/** Ends the rounds up to `context`; `index` stands in for the one each began with. */
export function endRounds(core: Core, context: number, index?: number): void {
  while (core.readRounds[0] && core.readRounds[0].context <= context) {
    const round = core.readRounds.shift()
    for (const request of round?.requests ?? []) answer(core, request, index ?? round?.index ?? 0)
  }
}

function answer(core: Core, { from, context }: ReadRequest, index: number): void {
  if (from === core.self) core.readsDone.push({ context, index })
  else send(core, from, { kind: 'read-index-reply', context, index })
}

/** The leader or the term changed: own reads fail, those of others are asked again by their owners. */
export function failReads(core: Core): void {
  const requests = [...core.readRounds.flatMap((round) => round.requests), ...core.readsWaiting]
  for (const { from, context } of requests) if (from === core.self) core.readsFailed.push(context)
  core.readRounds.length = 0
  core.readsWaiting = []
}
