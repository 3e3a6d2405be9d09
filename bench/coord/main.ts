/**
 * `npm run bench:coord [-- throughput|failover|watch|renewals|leases|start-up|resident|check-perf …]
 * [--repeats=N] [--seconds=N] [--minutes=N] [--tries=N]`: the coordinator beside etcd and beside itself, in
 * one run, contenders alternating; writes bench/results/<date>-coord-….json. About an hour in full.
 */
import { median } from '../measure.ts'
import { log, machineFacts, readWords, writeReport } from '../report.ts'
import { checkPerf } from './check-perf.ts'
import {
  bundleHakiri,
  etcd,
  hakiri,
  RUNTIME_ENV,
  RUNTIME_FLAGS,
  type Contender,
} from './contenders.ts'
import { measureFailover } from './failover.ts'
import { holdLeases, measureRenewals } from './leases.ts'
import { percentile } from './load.ts'
import { measureResident } from './resident.ts'
import { fillKeys, measureStartUp } from './start-up.ts'
import { measureThroughput } from './throughput.ts'
import { measureWatch } from './watch.ts'

const { chosen, wants, flag } = readWords(process.argv.slice(2))
const repeats = flag('repeats', 5)
const seconds = flag('seconds', 4)

type Raw = Record<string, unknown[]>
type Measurement = {
  readonly name: string
  readonly repeats: number
  readonly contenders: readonly Contender[]
  readonly members: 1 | 3
  readonly measure: (cluster: Awaited<ReturnType<Contender['start']>>) => Promise<unknown>
}

const command = await bundleHakiri()
const ours = hakiri('hakiri', command)
const again = hakiri('hakiri again', command)
const all = [ours, etcd, again]
const both = [ours, etcd]

const MEASUREMENTS: readonly Measurement[] = [
  {
    name: 'throughput',
    repeats,
    contenders: all,
    members: 3,
    measure: (c) => measureThroughput(c, seconds),
  },
  { name: 'failover', repeats: 1, contenders: both, members: 3, measure: failovers },
  { name: 'watch', repeats, contenders: all, members: 3, measure: measureWatch },
  {
    name: 'renewals',
    repeats,
    contenders: all,
    members: 3,
    measure: (c) => measureRenewals(c, seconds),
  },
  { name: 'start-up', repeats: 1, contenders: both, members: 1, measure: startUps },
  { name: 'resident', repeats: 1, contenders: both, members: 3, measure: measureResident },
  {
    name: 'check-perf',
    repeats: 1,
    contenders: both,
    members: 3,
    measure: (c) => checkPerf(c, 'm'),
  },
  {
    name: 'leases',
    repeats: 1,
    contenders: [ours],
    members: 3,
    measure: (c) => holdLeases(c, flag('leases', 10_000), flag('minutes', 10)),
  },
]

async function failovers(cluster: Parameters<typeof measureFailover>[0]): Promise<unknown> {
  const tookMs: number[] = []
  for (let n = 0; n < flag('tries', 15); n++) tookMs.push(await measureFailover(cluster))
  return { medianMs: median(tookMs), p99Ms: percentile(tookMs, 0.99), tookMs }
}

async function startUps(cluster: Parameters<typeof measureStartUp>[0]): Promise<unknown> {
  await fillKeys(cluster)
  const tookMs: number[] = []
  for (let n = 0; n < repeats; n++) tookMs.push(await measureStartUp(cluster))
  return { medianMs: median(tookMs), tookMs }
}

/** Contenders take turns, so that a slow minute of the machine hits all of them. */
async function run(measurement: Measurement): Promise<Raw> {
  const raw: Raw = {}
  for (let round = 0; round < measurement.repeats; round++)
    for (const contender of measurement.contenders) {
      await using cluster = await contender.start(measurement.members)
      const result = await measurement.measure(cluster)
      log(`${measurement.name} · ${contender.name}: ${JSON.stringify(result)}`)
      raw[contender.name] = [...(raw[contender.name] ?? []), result]
    }
  return raw
}

/** Medians of every number, field by field, where there are several rounds. */
function summarize(rounds: readonly unknown[]): unknown {
  const [first] = rounds
  if (rounds.length === 1) return first
  if (typeof first === 'number') return median(rounds as number[])
  if (typeof first !== 'object' || first === null) return first
  return Object.fromEntries(
    Object.keys(first).map((key) => [
      key,
      summarize(rounds.map((round) => (round as Record<string, unknown>)[key])),
    ]),
  )
}

const report: Record<string, unknown> = {
  machine: { ...machineFacts(), flags: RUNTIME_FLAGS, env: RUNTIME_ENV },
  date: new Date().toISOString(),
}
for (const measurement of MEASUREMENTS) {
  if (!wants(measurement.name)) continue
  const raw = await run(measurement)
  const medians = Object.fromEntries(
    Object.entries(raw).map(([name, rounds]) => [name, summarize(rounds)]),
  )
  report[measurement.name] = { medians, raw }
}
await writeReport(['coord', ...chosen].join('-'), report)
