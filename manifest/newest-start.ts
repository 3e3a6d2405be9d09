/** The past of a cron expression: which start was due last. */
import { Cron } from 'croner'

/** Milliseconds since the epoch of the newest start in (after, now]; undefined: there is none. */
export function newestStart(
  cron: string,
  tz: string,
  after: number,
  now: number,
): number | undefined {
  const job = new Cron(cron, { paused: true, timezone: tz })
  // Starts strictly before the reference are listed, at whole seconds; one at `now` itself counts.
  const [newest] = job.previousRuns(1, new Date(now + 1))
  const at = newest?.getTime()
  return at !== undefined && at > after ? at : undefined
}
