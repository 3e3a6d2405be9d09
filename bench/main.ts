/**
 * `npm run bench [-- postgres|ndjson|http|memory …] [--rows=N] [--repeats=N]`: measures, compares side by
 * side, and writes bench/results/<date>.json. Takes about half an hour in full.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, totalmem, release } from 'node:os'
import { benchHttp } from './http.ts'
import { benchMemory } from './memory.ts'
import { benchNdjson } from './ndjson.ts'
import { benchPostgres } from './postgres.ts'

const words = process.argv.slice(2)
const flag = (name: string, fallback: number): number => {
  const word = words.find((candidate) => candidate.startsWith(`--${name}=`))
  return word === undefined ? fallback : Number(word.slice(name.length + 3))
}
const chosen = words.filter((word) => !word.startsWith('--'))
const wants = (name: string): boolean => chosen.length === 0 || chosen.includes(name)
const log = (line: string): void => void process.stderr.write(`${line}\n`)
const repeats = flag('repeats', 3)

const report: Record<string, unknown> = {
  machine: {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
  },
  date: new Date().toISOString(),
}
if (wants('memory')) report['memory'] = await benchMemory(repeats)
if (wants('http')) report['http'] = await benchHttp(repeats, log)
if (wants('ndjson')) report['ndjson'] = await benchNdjson(flag('rows', 1_000_000), repeats, log)
if (wants('postgres'))
  report['postgres'] = await benchPostgres(flag('rows', 10_000_000), repeats, log)

const folder = new URL('./results/', import.meta.url)
await mkdir(folder, { recursive: true })
const file = new URL(
  `${new Date().toISOString().slice(0, 16).replaceAll(':', '')}-${chosen.join('-') || 'all'}.json`,
  folder,
)
await writeFile(file, `${JSON.stringify(report, null, 2)}\n`)
process.stdout.write(`${JSON.stringify(report, null, 2)}\nwritten to ${file.pathname}\n`)
