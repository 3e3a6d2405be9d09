/**
 * What goes to systemd's journal: every line in the form of the log, its level as a priority that
 * `journalctl -p warning` understands (sd-daemon(3)). A person at a terminal sees no such prefix.
 */
import { fstatSync } from 'node:fs'
import type { HakiriError } from '../lib/error.ts'
import type { LogFields, Logger } from '../lib/ports.ts'
import { createLogger } from '../lib/system/log.ts'
import type { CommandIo, Globals } from './command.ts'

type Env = Readonly<Record<string, string | undefined>>

/** True when stderr is what systemd opened to the journal for this process, not what took its place. */
export function isJournal(env: Env = process.env, file = 2): boolean {
  const stream = env['JOURNAL_STREAM']
  if (!stream) return false
  try {
    const { dev, ino } = fstatSync(file, { bigint: true })
    return stream === `${dev}:${ino}`
  } catch {
    return false
  }
}

/** The log of a command that runs until it is stopped: one line an event, JSON with --json. */
export function createServiceLogger(
  globals: Globals,
  { redact }: Pick<CommandIo, 'redact'>,
): Logger {
  return createLogger({
    level: globals.quiet ? 'error' : globals.verbose ? 'debug' : 'info',
    json: globals.json,
    write: (line) => void process.stderr.write(line),
    redact,
    priorities: isJournal(),
  })
}

/** An error as fields of a line of the log. */
export function errorFields({ code, place, suggestion }: HakiriError): LogFields {
  const at = place?.file && `${place.file}${place.line ? `:${place.line}` : ''}`
  return { code, at, suggestion }
}
