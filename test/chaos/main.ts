/**
 * `npm run chaos -- --seed=N --backend=raft|etcd --minutes=M --nodes=3 --workers=4 [--lab=namespaces|proxies]
 * [--faults=a,b] [--patience=N]`: one chaos run. `--long --hours=H` runs fresh seeds on alternating backends, one line
 * each; `--smoke [--fresh=N]` runs a fixed seed and N fresh ones on each backend. Ends with `N passed, N failed`, counted in checks; in any case there is
 * a report, and the command that asks for the same run again.
 */
import { parseArgs } from 'node:util'
import { systemRandom } from '../../lib/system/clock.ts'
import { closingLine } from '../support/tap.ts'
import { type Backend, FAULT_KINDS, type FaultKind } from './faults/catalogue.ts'
import type { Lab } from './hosts/lab.ts'
import { parseLabKind, requireNamespaces } from './hosts/open-lab.ts'
import { lineOf, recordOf } from './lines.ts'
import { preparePrograms, type Programs } from './programs.ts'
import { replayOf, type RunReport, type RunSettings } from './report/run-report.ts'
import { runChaos } from './run.ts'
import { appendFile, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'

const BACKENDS: readonly Backend[] = ['raft', 'etcd']
const SEED_MAX = 2 ** 31

const options = {
  seed: { type: 'string' },
  backend: { type: 'string', default: 'raft' },
  minutes: { type: 'string', default: '2' },
  nodes: { type: 'string', default: '3' },
  workers: { type: 'string', default: '4' },
  lab: { type: 'string' },
  faults: { type: 'string' },
  patience: { type: 'string', default: '1' },
  long: { type: 'boolean', default: false },
  hours: { type: 'string', default: '1' },
  smoke: { type: 'boolean', default: false },
  fresh: { type: 'string', default: '1' },
  'stop-at-failure': { type: 'boolean', default: false },
  results: { type: 'string', default: 'node_modules/.cache/hakiri-chaos/results.ndjson' },
  reports: { type: 'string', default: 'node_modules/.cache/hakiri-chaos' },
} as const
type Values = ReturnType<typeof read>
type LabKind = Lab['kind']

function read() {
  return parseArgs({ options }).values
}

async function main(): Promise<void> {
  const values = read()
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (ending.signal.aborted) process.exit(130)
      say(`${signal}: tearing down; once more ends at once`)
      ending.abort(new Error(`ended by ${signal}`))
    })
  const lab = await labOf(values)
  const plan = values.smoke
    ? smokeRuns(values, lab)
    : values.long
      ? longRuns(values, lab)
      : [single(values, lab)]
  await using programs = await preparePrograms()
  const tally = { passed: 0, failed: 0 }
  for (const settings of plan) {
    if (ending.signal.aborted) break
    const report = await one(settings, programs, values, ending.signal)
    for (const { problems } of report.checks)
      tally[problems.length === 0 ? 'passed' : 'failed'] += 1
    if (
      report.verdict !== 'passed' &&
      (values['stop-at-failure'] || !(values.long || values.smoke))
    )
      break
  }
  if (tally.passed + tally.failed === 0) tally.failed = 1
  say(closingLine({ ...tally, skipped: 0 }))
  process.exitCode = tally.failed > 0 ? 1 : 0
}

async function one(
  settings: RunSettings,
  programs: Programs,
  values: Values,
  signal: AbortSignal,
): Promise<RunReport> {
  say(`\n${replayOf(settings)}`)
  const folder = values.reports
  const { report, page } = await runChaos({ settings, programs, signal, folder, say })
  for (const { name, problems, seen } of report.checks) {
    say(`${problems.length === 0 ? '✓' : '✗'} ${name}${seen === '' ? '' : ` (${seen})`}`)
    for (const text of problems.slice(0, PROBLEMS_SHOWN_MAX)) say(`    ${text.slice(0, 1_000)}`)
    if (problems.length > PROBLEMS_SHOWN_MAX) say(`    … ${problems.length} in all`)
  }
  say(lineOf(report))
  if (report.verdict !== 'passed') say(`again: ${replayOf(settings)}\nsee:   ${page}`)
  await mkdir(dirname(values.results), { recursive: true })
  await appendFile(values.results, `${JSON.stringify(recordOf(report))}\n`)
  return report
}

const PROBLEMS_SHOWN_MAX = 5

/** Said before anything is made, for the replay has to name what was used. */
async function labOf({ lab }: Values): Promise<LabKind> {
  const kind = lab === undefined ? undefined : parseLabKind(lab)
  if (lab !== undefined && !kind) throw usage(`--lab=${lab} is neither namespaces nor proxies`)
  if (kind) return kind
  const missing = await requireNamespaces()
  if (missing === undefined) return 'namespaces'
  say(`hosts stand behind proxies, with fewer faults: ${missing}`)
  return 'proxies'
}

function single(values: Values, lab: LabKind): RunSettings {
  const seed = values.seed === undefined ? freshSeed() : numberOf('seed', values.seed, 0)
  const backend = BACKENDS.find((name) => name === values.backend)
  if (!backend) throw usage(`--backend=${values.backend} is neither raft nor etcd`)
  return { ...shapeOf(values, lab), seed, backend }
}

function shapeOf(values: Values, lab: LabKind) {
  const faults = values.faults?.split(',').map(kindOf)
  return {
    lab,
    minutes: numberOf('minutes', values.minutes, 0.1),
    nodes: numberOf('nodes', values.nodes, 1),
    workers: numberOf('workers', values.workers, 1),
    patience: numberOf('patience', values.patience, 1),
    ...(faults ? { faults } : {}),
  }
}

function kindOf(word: string): FaultKind {
  const kind = FAULT_KINDS.find((each) => each === word)
  if (!kind) throw usage(`there is no fault "${word}"; there are ${FAULT_KINDS.join(', ')}`)
  return kind
}

/** Fresh seeds on alternating backends until the time is over. */
function* longRuns(values: Values, lab: LabKind): Generator<RunSettings> {
  const end = performance.now() + numberOf('hours', values.hours, 0) * 3_600_000
  for (let run = 0; performance.now() < end; run++)
    yield { ...shapeOf(values, lab), seed: freshSeed(), backend: BACKENDS[run % BACKENDS.length]! }
}

const SMOKE_MINUTES = 0.75
/** Fixed, so that two runs of CI have something to compare. */
const SMOKE_SEED = 20_261_126

function* smokeRuns(values: Values, lab: LabKind): Generator<RunSettings> {
  const fresh = numberOf('fresh', values.fresh, 0)
  for (const backend of BACKENDS)
    for (const seed of [SMOKE_SEED, ...Array.from({ length: fresh }, freshSeed)])
      yield { ...shapeOf(values, lab), minutes: SMOKE_MINUTES, seed, backend }
}

function freshSeed(): number {
  return Math.floor(systemRandom.float() * SEED_MAX)
}

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value < least)
    throw usage(`--${name}=${text} is no number from ${least} on`)
  return value
}

function usage(text: string): Error {
  return new Error(text)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

await main()
