/** Structured log lines on stderr: JSON for machines, one readable line for people. */
import type { Logger, LogFields, LogLevel } from '../ports.ts'

/** syslog(3): debug, informational, warning, error. */
const PRIORITY: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 }

const ORDER: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

export type LogOptions = {
  readonly level: LogLevel
  readonly json: boolean
  readonly write: (line: string) => void
  /** Applied to each line last: hides resolved secrets. */
  readonly redact: (text: string) => string
  /** Each line begins with its priority, as systemd's journal reads it. */
  readonly priorities?: boolean
}

export function createLogger(options: LogOptions): Logger {
  return {
    log(level, message, fields = {}) {
      if (ORDER[level] < ORDER[options.level]) return
      const line = options.json
        ? jsonLine(level, message, fields)
        : plainLine(level, message, fields)
      const mark = options.priorities === true ? `<${PRIORITY[level]}>` : ''
      options.write(`${mark}${options.redact(line)}\n`)
    },
  }
}

export const silentLogger: Logger = { log: () => undefined }

function jsonLine(level: LogLevel, message: string, fields: LogFields): string {
  const safe = Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      typeof value === 'bigint' ? String(value) : value,
    ]),
  )
  return JSON.stringify({ time: new Date().toISOString(), level, message, ...safe })
}

function plainLine(level: LogLevel, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined)
  const text = pairs.map(([key, value]) => `${key}=${String(value)}`).join(' ')
  return `${level.padEnd(5)} ${message}${text ? ' ' + text : ''}`
}
