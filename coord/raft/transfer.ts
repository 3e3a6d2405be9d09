/**
 * Leadership transfer (thesis §3.10): the leader stops taking commands, brings the target up to date
 * and tells it to stand for election at once. After an election timeout it takes commands again.
 */
import { send } from './core.ts'
import type { Core } from './core.ts'
import { lastIndex } from './log.ts'
import { NOBODY } from './types.ts'
import type { MemberId, Outcome } from './types.ts'

/** Begins to move leadership; a follower passes the wish on. */
export function transferLeadership(core: Core, target: MemberId): Outcome {
  if (core.leader === NOBODY) return 'no-leader'
  if (core.role !== 'leader') {
    send(core, core.leader, { kind: 'transfer', target })
    return 'forwarded'
  }
  if (!core.membership.voters.includes(target)) return 'refused'
  if (target === core.self || target === core.transferee) return 'accepted'
  core.transferee = target
  core.transferElapsed = 0
  maybeHandOver(core, target)
  return 'accepted'
}

/** Once the target holds the whole log. */
export function maybeHandOver(core: Core, member: MemberId): void {
  if (core.transferee !== member) return
  if (core.followers.get(member)?.match === lastIndex(core.log))
    send(core, member, { kind: 'timeout-now' })
}

/** Gives up a transfer that an election timeout was not enough for. */
export function tickTransfer(core: Core): void {
  if (core.transferee === NOBODY) return
  if (++core.transferElapsed >= core.config.electionTicks) core.transferee = NOBODY
}
