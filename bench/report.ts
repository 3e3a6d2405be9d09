/** What every bench does around its measuring: its words on the command line, the machine, the file. */
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'

export type BenchWords = {
  /** Names of what to measure; all when there are none. */
  readonly chosen: readonly string[]
  readonly wants: (name: string) => boolean
  /** The number of `--name=N`. */
  readonly flag: (name: string, fallback: number) => number
}

export function readWords(words: readonly string[]): BenchWords {
  const chosen = words.filter((word) => !word.startsWith('--'))
  return {
    chosen,
    wants: (name) => chosen.length === 0 || chosen.includes(name),
    flag: (name, fallback) => {
      const word = words.find((candidate) => candidate.startsWith(`--${name}=`))
      return word === undefined ? fallback : Number(word.slice(name.length + 3))
    },
  }
}

export function machineFacts(): Readonly<Record<string, unknown>> {
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
  }
}

export function log(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Writes bench/results/<date>-<name>.json. */
export async function writeReport(name: string, report: unknown): Promise<void> {
  const folder = new URL('./results/', import.meta.url)
  await mkdir(folder, { recursive: true })
  const stamp = new Date().toISOString().slice(0, 16).replaceAll(':', '')
  const file = new URL(`${stamp}-${name}.json`, folder)
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`)
  log(`written to ${file.pathname}`)
}
