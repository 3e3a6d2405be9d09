/**
 * `hakiri coord`: one member of the coordinator, until a signal or a disk that fails ends it. SIGTERM
 * hands leadership over first. This is where the parts of `coord/` meet.
 */
import { HakiriError } from '../../lib/error.ts'
import { createLogger } from '../../lib/system/log.ts'
import type { CommandIo, CommandOutput, CommandRun, Globals } from '../command.ts'
import { formatAddress, isLoopback } from '../coord/address.ts'
import { coordSection, hex } from '../coord/connect.ts'
import { startIdleMemory } from '../coord/idle-memory.ts'
import { startMember, type RunningMember } from '../coord/run-member.ts'
import { resolveNode, type CoordSettings } from '../coord/settings.ts'

/** How long the end may take before connections are cut. */
const STOP_MS = 10_000

export const coord: CommandRun = async ({ options, globals }, io) => {
  const section = await coordSection(globals)
  const settings = resolveNode({ options, env: process.env, section })
  checkExposure(settings)
  const member = await startMember(settings, section.baseFolder, loggerOf(globals, io))
  using _idle = startIdleMemory()
  io.progress(startLine(member))
  try {
    await Promise.race([untilStopped(io), member.failed])
  } finally {
    await member.stop(AbortSignal.timeout(STOP_MS))
  }
  return output(member)
}

/** A coordinator says what happens to it: one line an event, JSON with --json. */
function loggerOf(globals: Globals, io: CommandIo) {
  return createLogger({
    level: globals.quiet ? 'error' : globals.verbose ? 'debug' : 'info',
    json: globals.json,
    write: (line) => void process.stderr.write(line),
    redact: io.redact,
  })
}

function checkExposure({ bind, tls, insecure }: CoordSettings): void {
  if (isLoopback(bind) || tls || insecure) return
  throw new HakiriError('USAGE', `${formatAddress(bind)} is open to others, and there is no TLS`, {
    suggestion:
      'Give --tls-cert, --tls-key and --tls-ca, or say --insecure if the network is yours alone.',
  })
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
