/**
 * When a pipeline is due. Pure: times come in, starts go out. A start is named by its nominal time, so
 * that whoever computes it, and however often, means the same one; the catalog lets each happen once.
 */
import type { Schedule } from '../../manifest/manifest.ts'

export type DueStart = {
  /** Nominal time, milliseconds since the epoch. */
  readonly at: number
  readonly fireKey: string
}

export type DueInput = {
  readonly pipeline: string
  readonly schedule: Schedule
  /** Newest nominal time that was asked for; undefined: none was ever. */
  readonly last: number | undefined
  /** While none was ever asked for: starts before this belong to nobody, the pipeline was not there yet. */
  readonly since: number
  readonly now: number
  /** The newest nominal time of a cron expression at or before `now`; undefined: none since `after`. */
  readonly newest: (cron: string, tz: string, after: number, now: number) => number | undefined
}

/** A start that is later than this was missed: nobody was there to ask for it. */
export const MISSED_AFTER_MS = 60_000

/** The start to ask for now, if there is one. Of several that were missed, the newest stands for all. */
export function dueStart(input: DueInput): DueStart | undefined {
  const { pipeline, schedule, last, now } = input
  const at = newestStart(input)
  if (at === undefined || (last !== undefined && at <= last)) return undefined
  const due = at + offsetOf(pipeline, at, schedule.jitterMs)
  const isFirst = last === undefined && schedule.everyMs !== undefined
  if (now < due) return undefined
  if (now - due > MISSED_AFTER_MS && !schedule.catchup && !isFirst) return undefined
  return { at, fireKey: `${pipeline}@${new Date(at).toISOString()}` }
}

function newestStart({ schedule, last, since, now, newest }: DueInput): number | undefined {
  const { cron, everyMs, tz } = schedule
  if (everyMs !== undefined) return Math.floor(now / everyMs) * everyMs
  return cron === undefined ? undefined : newest(cron, tz, last ?? since, now)
}

/** The same for every planner: a hash of what is started and when, spread over the jitter. */
function offsetOf(pipeline: string, at: number, jitterMs: number): number {
  if (jitterMs === 0) return 0
  let hash = 2_166_136_261
  for (const character of `${pipeline}@${at}`)
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619) >>> 0
  return Math.floor((hash / 2 ** 32) * jitterMs)
}
