/** Commands on their way into the log: a leader takes them within a bound, a follower passes them on. */
import { addEntries, send } from './core.ts'
import type { Core } from './core.ts'
import { NOBODY } from './types.ts'
import type { Outcome } from './types.ts'

/** All of `commands` or none. A leader with nothing on its way takes commands of any size. */
export function propose(core: Core, commands: readonly Uint8Array[]): Outcome {
  if (core.leader === NOBODY) return 'no-leader'
  if (core.role !== 'leader') {
    send(core, core.leader, { kind: 'propose', commands })
    return 'forwarded'
  }
  if (core.transferee !== NOBODY || core.leavingIndex > 0) return 'transferring'
  let bytes = core.uncommittedBytes
  for (const command of commands) bytes += command.length
  if (core.uncommittedBytes > 0 && bytes > core.config.uncommittedBytesMax) return 'overloaded'
  addEntries(core, 'command', commands)
  return 'accepted'
}
