/**
 * Two servers, one script, no difference: `node test/etcd/differential.ts A B [--seed=1] [--seeds=100]
 * [--length=60]` with endpoints as host:port, `etcd` for a fresh one of its own, `edge` for our store and
 * edge in this process. Prints the first
 * difference with its seed and the smallest script that still shows it.
 */
import { startEdge } from '../support/edge-lab.ts'
import type { Side } from './differential-client.ts'
import { openSide } from './differential-client.ts'
import { asText, runScript } from './differential-run.ts'
import { type Script, scriptOf, type Step, type TxnStep } from './differential-script.ts'
import { startEtcd } from './start-etcd.ts'

export type Difference = {
  /** The step at which the answers differ; undefined for what the watches said. */
  readonly step: Step | undefined
  readonly a: string
  readonly b: string
}

export type Finding = {
  readonly seed: number
  readonly script: Script
  readonly difference: Difference
}

/** Changes what the second server is asked: the way to plant a difference. */
export type Tamper = (step: Step) => Step

const RUNS_MAX = 250

/** Runs the script on both and gives the first difference. */
export async function compareOnce(
  a: Side,
  b: Side,
  script: Script,
  tamper: Tamper = (step) => step,
): Promise<Difference | undefined> {
  const [left, right] = await Promise.all([runScript(a, script), runScript(b, script.map(tamper))])
  const count = Math.max(left.length, right.length)
  for (let at = 0; at < count; at++)
    if (left[at] !== right[at])
      return { step: script[at], a: left[at] ?? 'nothing', b: right[at] ?? 'nothing' }
  return undefined
}

/** Compares one seed; a difference comes back with the smallest script found. */
export async function compareSeed(
  a: Side,
  b: Side,
  seed: number,
  length: number,
  tamper?: Tamper,
): Promise<Finding | undefined> {
  const script = scriptOf(seed, length)
  const difference = await compareOnce(a, b, script, tamper)
  if (!difference) return undefined
  const small = await shrink(script, (smaller) => compareOnce(a, b, smaller, tamper))
  return { seed, script: small, difference: (await compareOnce(a, b, small, tamper)) ?? difference }
}

/** Leaves out what is not needed: halves first, then single steps, then operations of transactions. */
async function shrink(
  script: Script,
  differs: (script: Script) => Promise<Difference | undefined>,
): Promise<Script> {
  let best = script
  let runs = 0
  const attempt = async (smaller: Script): Promise<boolean> => {
    if (++runs > RUNS_MAX || !(await differs(smaller))) return false
    best = smaller
    return true
  }
  for (
    let size = Math.ceil(best.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  )
    for (let at = 0; at < best.length;) {
      const isGone = await attempt([...best.slice(0, at), ...best.slice(at + size)])
      if (!isGone) at += size
    }
  for (let at = 0; at < best.length; at++)
    for (let smaller = smallerSteps(best[at]); smaller.length > 0;) {
      const [first, ...rest] = smaller
      if (first === undefined) break
      smaller = (await attempt(best.with(at, first))) ? smallerSteps(first) : rest
    }
  return best
}

/** The step with one part of a transaction left out, in every way. */
function smallerSteps(step: Step | undefined): Step[] {
  if (step?.kind !== 'txn') return []
  return smallerTxns(step.request).map((request) => ({ ...step, request }))
}

function smallerTxns(txn: TxnStep): TxnStep[] {
  const without = (['compare', 'success', 'failure'] as const).flatMap((part) =>
    txn[part].map((_, at) => ({ ...txn, [part]: txn[part].toSpliced(at, 1) })),
  )
  const within = (['success', 'failure'] as const).flatMap((part) =>
    txn[part].flatMap(({ requestTxn }, at) => {
      if (!requestTxn) return []
      const { compare = [], success = [], failure = [] } = requestTxn
      return smallerTxns({ compare, success, failure }).map((smaller) => ({
        ...txn,
        [part]: txn[part].with(at, { requestTxn: smaller }),
      }))
    }),
  )
  return [...without, ...within]
}

/** The finding as a person reads it. */
export function describe({ seed, script, difference }: Finding): string {
  return [
    `seed ${seed}: the servers differ`,
    ...script.map((step, at) => `  ${at + 1}. ${show(step)}`),
    `at ${difference.step ? show(difference.step) : 'what the watches said'}`,
    `  A: ${difference.a}`,
    `  B: ${difference.b}`,
  ].join('\n')
}

/** Without what has the wire's default, and keys and values as text. */
function show(step: Step): string {
  return JSON.stringify(step, (_, value: unknown) => {
    if (typeof value === 'bigint') return value === 0n ? undefined : `${value}n`
    if (value === 0 || value === '' || value === false) return undefined
    if (Array.isArray(value) && value.length > 8) return `${value.length} of these`
    const text = asText(value)
    return text === '' ? undefined : text
  })
}

async function main(args: readonly string[]): Promise<number> {
  const numberOf = (name: string, otherwise: number): number =>
    Number(args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1] ?? otherwise)
  const [first = 'etcd', second = 'etcd'] = args.filter((arg) => !arg.startsWith('--'))
  await using started = new AsyncDisposableStack()
  const open = async (name: string): Promise<Side> => {
    const side = openSide(await endpointOf(name, started))
    started.defer(() => side.close())
    return side
  }
  const [a, b] = [await open(first), await open(second)]
  const from = numberOf('seed', 1)
  const count = numberOf('seeds', 100)
  for (let seed = from; seed < from + count; seed++) {
    const finding = await compareSeed(a, b, seed, numberOf('length', 60))
    if (finding) {
      console.log(describe(finding))
      return 1
    }
  }
  console.log(`${count} scripts from seed ${from} on: no difference`)
  return 0
}

async function endpointOf(name: string, started: AsyncDisposableStack): Promise<string> {
  if (name === 'edge') return `127.0.0.1:${started.use(await startEdge()).port}`
  if (name !== 'etcd') return name
  const [member] = started.use(await startEtcd()).members
  return member?.endpoint ?? name
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
