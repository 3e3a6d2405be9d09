/** The figures of every measurement, oldest first, a line each: bench/results/budgets.ndjson. */
import { appendFile, readFile } from 'node:fs/promises'
import type { Figures } from './judge.ts'

export type Measurement = {
  readonly date: string
  readonly target: string
  readonly machine: Readonly<Record<string, unknown>>
  readonly figures: Figures
}

const FILE = new URL('../results/budgets.ndjson', import.meta.url)

/** The newest of a target; none when there is no file yet. */
export async function lastFigures(target: string): Promise<Figures> {
  const text = await readFile(FILE, 'utf8').catch(() => '')
  const lines = text.split('\n').filter((line) => line !== '')
  const all = lines.map((line) => JSON.parse(line) as Measurement)
  return all.findLast((one) => one.target === target)?.figures ?? {}
}

export async function addToTrend(measurement: Measurement): Promise<void> {
  await appendFile(FILE, `${JSON.stringify(measurement)}\n`)
}
