/**
 * How a new cluster begins. Nobody votes before every member of the first list has said that it has
 * not begun yet, or has begun together with exactly this disk. So a member that lost its disk, and
 * with it its votes and what it acknowledged, cannot take part again under its old id (M2): the others
 * remember the life of the disk they began with.
 */
import type { MemberId } from '../raft/types.ts'
import { sendTo } from './core.ts'
import type { ReplicaCore } from './core.ts'
import type { FormationState } from './parts.ts'
import type { PeerMessage } from './transport.ts'
import type { Formation } from './types.ts'

export function createFormation(kept: Formation): FormationState {
  return { kept, agreed: new Map(), isBeingKept: false, ticks: 0 }
}

const ASK_EVERY_TICKS = 3

function others({ membership, self }: ReplicaCore): readonly MemberId[] {
  return membership.voters.filter((id) => id !== self)
}

/** Whom this member waits for before it can begin. */
export function missingFor(core: ReplicaCore): readonly MemberId[] {
  if (core.formation.kept.isFormed) return []
  return others(core).filter((id) => !core.formation.agreed.has(id))
}

export function tickFormation(core: ReplicaCore): void {
  const { formation } = core
  if (formation.ticks++ % ASK_EVERY_TICKS === 0)
    for (const to of others(core))
      sendTo(core, to, { kind: 'form-question', life: formation.kept.life })
  maybeForm(core)
}

function maybeForm(core: ReplicaCore): void {
  const { formation } = core
  if (formation.kept.isFormed || formation.isBeingKept || missingFor(core).length > 0) return
  formation.isBeingKept = true
  const lives = new Map(formation.agreed)
  core.effects.push({
    kind: 'form',
    formation: { life: formation.kept.life, isFormed: true, lives },
  })
}

export function receiveFormQuestion(core: ReplicaCore, from: MemberId, life: bigint): void {
  const { kept } = core.formation
  const isAgreed = !kept.isFormed || kept.lives.get(from) === life
  const { isFormed } = kept
  sendTo(core, from, { kind: 'form-answer', life: kept.life, asked: life, isFormed, isAgreed })
}

export function receiveFormAnswer(
  core: ReplicaCore,
  from: MemberId,
  answer: Extract<PeerMessage, { readonly kind: 'form-answer' }>,
): void {
  const { formation } = core
  if (formation.kept.isFormed || formation.isBeingKept || !others(core).includes(from)) return
  // A late word for the disk that was here before says nothing of this one.
  if (answer.asked !== 0n && answer.asked !== formation.kept.life) return
  if (answer.isAgreed) {
    formation.agreed.set(from, answer.life)
    return maybeForm(core)
  }
  core.isStopped = true
  core.effects.push({ kind: 'stop', reason: { kind: 'disk-lost', toldBy: from } })
}

/** What was agreed is durable. */
export function noteFormed(core: ReplicaCore): void {
  const { formation } = core
  formation.kept = { ...formation.kept, isFormed: true, lives: new Map(formation.agreed) }
}
