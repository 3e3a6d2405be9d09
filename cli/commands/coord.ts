/**
 * `hakiri coord`: one member of the coordinator, until a signal or a disk that fails ends it. SIGTERM
 * hands leadership over first. This is where the parts of `coord/` meet.
 */
import type { CommandIo, CommandOutput, CommandRun } from '../command.ts'
import { coordSection, hex } from '../coord/connect.ts'
import { growHeapSlowly, startIdleMemory } from '../coord/idle-memory.ts'
import { startMember, type RunningMember } from '../coord/run-member.ts'
import { checkExposure, resolveNode } from '../coord/settings.ts'
import { createServiceLogger } from '../journal.ts'
import { openNotifier } from '../notify.ts'

/** How long the end may take before connections are cut. */
const STOP_MS = 10_000

export const coord: CommandRun = async ({ options, globals }, io) => {
  const section = await coordSection(globals)
  const settings = resolveNode({ options, env: process.env, section })
  checkExposure(settings)
  using notifier = await openNotifier()
  const member = await startMember(settings, section.baseFolder, createServiceLogger(globals, io))
  growHeapSlowly()
  using _idle = startIdleMemory()
  io.progress(startLine(member))
  notifier.ready(`listens on ${member.endpoint}`)
  try {
    await Promise.race([untilStopped(io), member.failed])
  } finally {
    notifier.stopping(STOP_MS)
    await member.stop(AbortSignal.timeout(STOP_MS))
  }
  return output(member)
}

function startLine({ endpoint, memberId, folder }: RunningMember): string {
  return `member ${hex(memberId)} listens on ${endpoint}, data in ${folder}\n`
}

function untilStopped({ stop }: CommandIo): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve()
    else stop.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** A member that was told to stop has done all it was asked to. */
function output({ endpoint, memberId }: RunningMember): CommandOutput {
  return {
    result: { memberId: hex(memberId), endpoint },
    summary: `✓ member ${hex(memberId)} stopped`,
  }
}
