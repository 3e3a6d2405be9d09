/**
 * Runs seeds of the simulation. `--seed=N` replays one, `--seeds=FROM..TO` a range, `--count=N` so many
 * fresh ones and every seed that ever failed, `--long` fresh ones until stopped. `--nodes`, `--ticks`
 * overrule what a seed draws, `--trace` prints every step, `--jobs` says how many processes share the work.
 */
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { runSeed } from './run.ts'
import type { RunResult } from './run.ts'

type FailedSeed = { readonly seed: number; readonly nodes?: number; readonly guards: string }

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    count: { type: 'string' },
    nodes: { type: 'string' },
    ticks: { type: 'string' },
    jobs: { type: 'string' },
    long: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    worker: { type: 'boolean', default: false },
  },
})

const overrides = {
  ...(values.nodes !== undefined && { nodes: Number(values.nodes) }),
  ...(values.ticks !== undefined && { ticks: Number(values.ticks) }),
}
type Task = { readonly seed: number; readonly nodes?: number }

const run = ({ seed, nodes }: Task): RunResult =>
  runSeed(seed, {
    ...overrides,
    ...(nodes !== undefined && { nodes }),
    ...(values.trace && { trace: (line: string) => void process.stdout.write(`${line}\n`) }),
  })

function failedSeeds(): readonly FailedSeed[] {
  const file = new URL('failed-seeds.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as readonly FailedSeed[]
}

/** Seeds in the order they are run; endless with `--long`. */
function* tasks(): Generator<Task, undefined> {
  if (values.seed !== undefined) {
    yield { seed: Number(values.seed) }
    return
  }
  if (values.seeds !== undefined) {
    const [from, to] = values.seeds.split('..').map(Number)
    for (let seed = from!; seed <= to!; seed++) yield { seed }
    return
  }
  for (const { seed, nodes } of failedSeeds()) yield { seed, ...(nodes !== undefined && { nodes }) }
  const count = values.long ? Infinity : Number(values.count ?? 300)
  const first = (Date.now() % 1_000_000_000) * 1000
  for (let nth = 0; nth < count; nth++) yield { seed: first + nth }
}

const totals = { passed: 0, failed: 0 }

function report(task: Task, { failure, digest, events, commits, counts }: RunResult): void {
  if (failure === undefined) totals.passed++
  else totals.failed++
  const nodes = task.nodes ?? overrides.nodes
  const ticks = overrides.ticks === undefined ? '' : ` --ticks=${overrides.ticks}`
  const replay = `node test/simulation/main.ts --seed=${task.seed}${nodes ? ` --nodes=${nodes}` : ''}${ticks}`
  if (failure !== undefined)
    process.stdout.write(`seed ${task.seed} failed: ${failure}\n  replay: ${replay}\n`)
  else if (values.verbose || values.seed !== undefined)
    process.stdout.write(
      `seed ${task.seed}: ${commits} commits, ${events} events, digest ${digest.toString(16)} ${JSON.stringify(counts)}\n`,
    )
}

function close(): never {
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`)
  process.exit(totals.failed > 0 ? 1 : 0)
}

function runHere(): void {
  for (const task of tasks()) {
    report(task, run(task))
    if (totals.failed > 0 && !values['keep-going']) break
  }
  close()
}

/** Each process takes the next seed as soon as it is done with one. */
function runShared(jobs: number): void {
  const queue = tasks()
  let active = 0
  const next = (child: ReturnType<typeof fork>): void => {
    const isOver = totals.failed > 0 && !values['keep-going']
    const task = isOver ? undefined : queue.next().value
    if (!task) {
      child.disconnect()
      if (--active === 0) close()
      return
    }
    child.once('message', (result) => {
      report(task, result as RunResult)
      next(child)
    })
    child.send(task)
  }
  const extra = process.argv.slice(2).filter((arg) => /^--(nodes|ticks)=/.test(arg))
  for (let job = 0; job < jobs; job++) {
    active++
    next(fork(new URL(import.meta.url).pathname, ['--worker', ...extra]))
  }
  process.on('SIGINT', close)
}

const jobs = Number(values.jobs ?? availableParallelism())
if (values.worker) process.on('message', (task) => process.send?.(run(task as Task)))
else if (jobs < 2 || values.trace || values.seed !== undefined) runHere()
else runShared(jobs)
