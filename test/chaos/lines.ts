/** A run in one line for people, and in one record for the results file. */
import { countFaults, type RunReport } from './report/run-report.ts'

export function lineOf(report: RunReport): string {
  const { settings, verdict, figures, checks, tookMs } = report
  const { seed, backend, minutes } = settings
  const problems = checks.reduce((sum, check) => sum + check.problems.length, 0)
  const parts = [
    `seed ${seed} ${backend} ${minutes} min`,
    `${countFaults(report)} faults`,
    `${figures.commits} commits`,
    `${figures.rows} rows`,
    `${figures.operations} operations`,
    `lost ${figures.lost} doubled ${figures.doubled} split ${figures.split}`,
    `${problems} problems`,
    `${Math.round(tookMs / 1_000)} s`,
  ]
  return `${verdict === 'passed' ? '✓' : '✗'} ${verdict}: ${parts.join(' · ')}`
}

export type RunRecord = Omit<RunReport, 'events' | 'checks'> & {
  readonly problems: readonly string[]
}

export function recordOf(report: RunReport): RunRecord {
  const { settings, startedAt, tookMs, verdict, checks, faults, figures } = report
  const problems = checks.flatMap(({ name, problems: all }) =>
    all.map((text) => `${name}: ${text}`),
  )
  return { settings, startedAt, tookMs, verdict, faults, figures, problems }
}
