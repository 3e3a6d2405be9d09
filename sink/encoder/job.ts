/** What one job in the encoder process works with. */
import type { Session } from './engine.ts'

export type Job = {
  readonly session: Session
  /** Fires when the job is cancelled or Hakiri has gone. */
  readonly signal: AbortSignal
  /** A name for a file of this process that no other job uses. */
  readonly temporary: () => string
}

/** Runs one statement of a job, unless the job was cancelled. */
export async function runStatement(job: Job, sql: string): ReturnType<Session['rows']> {
  job.signal.throwIfAborted()
  return job.session.rows(sql)
}

/** Runs a COPY statement; returns the rows it wrote. */
export async function runCopy(job: Job, sql: string): Promise<number> {
  const [row] = await runStatement(job, sql)
  return Number(row?.[0] ?? 0)
}
