/**
 * `npm run bench [-- postgres|ndjson|http|memory …] [--rows=N] [--repeats=N]`: measures, compares side by
 * side, and writes bench/results/<date>.json. Takes about half an hour in full.
 */
import { benchHttp } from './http.ts'
import { benchMemory } from './memory.ts'
import { benchNdjson } from './ndjson.ts'
import { benchPostgres } from './postgres.ts'
import { log, machineFacts, readWords, writeReport } from './report.ts'

const { chosen, wants, flag } = readWords(process.argv.slice(2))
const repeats = flag('repeats', 3)
const report: Record<string, unknown> = { machine: machineFacts(), date: new Date().toISOString() }
if (wants('memory')) report['memory'] = await benchMemory(repeats)
if (wants('http')) report['http'] = await benchHttp(repeats, log)
if (wants('ndjson')) report['ndjson'] = await benchNdjson(flag('rows', 1_000_000), repeats, log)
if (wants('postgres'))
  report['postgres'] = await benchPostgres(flag('rows', 10_000_000), repeats, log)

process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
await writeReport(chosen.join('-') || 'all', report)
