/** Cron expressions and time zones. */
import { Cron } from 'croner'
import type { Path } from './problem.ts'
import type { RawPipeline } from './schema.ts'
import type { Report } from './scope.ts'

const EXAMPLE = 'Write minute hour day month weekday, such as "*/10 * * * *" or "0 3 * * 1-5".'
/** A fixed start, so that the answer does not hang on the day it is asked. */
const START = new Date('2024-01-01T00:00:00Z')

export function checkCron(path: Path, cron: string, report: Report): void {
  try {
    const never = new Cron(cron, { paused: true, timezone: 'UTC' }).nextRun(START) === null
    if (never) report(path, `${JSON.stringify(cron)} names a moment that never comes`, EXAMPLE)
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^Cron\w+: /, '') : String(error)
    report(path, `${JSON.stringify(cron)} is not a cron expression: ${reason}`, EXAMPLE)
  }
}

export function checkSchedule(
  schedule: NonNullable<RawPipeline['schedule']>,
  everyMs: number | undefined,
  report: Report,
): void {
  const { cron, every, tz } = schedule
  if ((cron === undefined) === (every === undefined)) {
    const message =
      cron === undefined ? 'a schedule needs cron or every' : 'cron and every exclude each other'
    report(['schedule'], message, 'Write schedule = { cron = "*/10 * * * *" } or { every = "1h" }.')
  }
  if (cron !== undefined) checkCron(['schedule', 'cron'], cron, report)
  if (everyMs !== undefined && everyMs < 1000) {
    report(['schedule', 'every'], 'must be one second or more', 'Write every = "1s" or longer.')
  }
  if (tz !== undefined && !isTimeZone(tz)) {
    const suggestion = 'Use an IANA name such as "UTC" or "Europe/Berlin".'
    report(['schedule', 'tz'], `${JSON.stringify(tz)} is not a time zone`, suggestion)
  }
}

function isTimeZone(tz: string): boolean {
  try {
    if (tz !== 'UTC') new Intl.DateTimeFormat('en', { timeZone: tz })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
