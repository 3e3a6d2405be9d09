/** What other members say, to whom it concerns. */
import type { MemberId } from '../raft/types.ts'
import type { ReplicaCore } from './core.ts'
import { receiveFormAnswer, receiveFormQuestion } from './formation.ts'
import { receiveLeaseAnswer, receiveLeaseQuestion } from './lease-desk.ts'
import { receiveMemberAnswer, receiveMemberQuestion } from './member-desk.ts'
import type { PeerMessage } from './transport.ts'

/**
 * Whether a member is not listened to: it was removed, and that is durable here. A removed leader is heard
 * until it steps down, which it does once the others know.
 */
export function isRefused({ members, status }: ReplicaCore, member: MemberId): boolean {
  return members.isRemoved(member) && member !== status.leader
}

/** Members that were removed are not listened to, and before the cluster stands nobody votes. */
export function receive(core: ReplicaCore, from: MemberId, message: PeerMessage): void {
  if (core.isStopped || isRefused(core, from)) return
  if (message.kind === 'form-question') return receiveFormQuestion(core, from, message.life)
  if (message.kind === 'form-answer') return receiveFormAnswer(core, from, message)
  if (!core.formation.kept.isFormed) return
  switch (message.kind) {
    case 'raft':
      // A snapshot only counts once its image has arrived, by `snapshotArrived`.
      if (message.message.kind !== 'snapshot') core.raft.step(message.message)
      return
    case 'lease-question':
      return receiveLeaseQuestion(core, from, message.id, message.question)
    case 'lease-answer':
      return receiveLeaseAnswer(core, message.id, message.answer)
    case 'member-question':
      return receiveMemberQuestion(core, from, message.id, message.question)
    case 'member-answer':
      return receiveMemberAnswer(core, message.id, message.answer)
  }
}
