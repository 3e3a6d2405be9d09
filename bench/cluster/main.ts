/**
 * `npm run bench:cluster [-- takeover|drain|shards|scale|overhead|idle|resident …] [--repeats=N]
 * [--kills=N] [--ttl=MS] [--drains=N] [--shards=N] [--pages=N] [--rows=N] [--seconds=N]`: the cluster on
 * this machine, part by part; writes bench/results/<date>-cluster-….json. About half an hour in full.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { median } from '../measure.ts'
import { log, machineFacts, readWords, writeReport } from '../report.ts'
import { measureIdle } from './idle.ts'
import { measureHakiri } from './many-shards.ts'
import { measureOverhead } from './overhead.ts'
import { installQueues, measureQueue, VERSIONS } from './queues.ts'
import { measureServeResident } from './resident.ts'
import { measureScale } from './scale.ts'
import { writeShardFiles } from './shard-files.ts'
import { auditEndless, measureDrains, measureTakeovers, startEndless } from './takeover.ts'

const { chosen, wants, flag } = readWords(process.argv.slice(2))
const repeats = flag('repeats', 3)

async function takeover(): Promise<object> {
  const ttlMs = flag('ttl', 3_000)
  await using endless = await startEndless(`${ttlMs}ms`)
  const takeovers = await measureTakeovers(endless, ttlMs, flag('kills', 30))
  return { ...takeovers, audit: await auditEndless(endless) }
}

async function drain(): Promise<object> {
  await using endless = await startEndless('10s')
  const drains = await measureDrains(endless, flag('drains', 10))
  return { ...drains, audit: await auditEndless(endless) }
}

/** Contenders take turns; ours runs twice in a round, which is the control. */
async function shards(): Promise<object> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bench-files-'))
  const modules = await installQueues()
  try {
    const count = flag('shards', 20_000)
    const audit = await writeShardFiles(folder, count)
    const ours = () => measureHakiri(folder, count, audit)
    const contenders = {
      hakiri: ours,
      'pg-boss': () => measureQueue('pg-boss', modules, folder, count, audit),
      'graphile-worker': () => measureQueue('graphile-worker', modules, folder, count, audit),
      'hakiri again': ours,
    }
    const raw: Record<string, { readonly shardsPerS: number }[]> = {}
    for (let round = 0; round < repeats; round++)
      for (const [name, run] of Object.entries(contenders)) {
        const result = await run()
        log(`shards · ${name}: ${JSON.stringify(result)}`)
        raw[name] = [...(raw[name] ?? []), result]
      }
    const medians = Object.entries(raw).map(([name, rounds]) => [
      name,
      median(rounds.map(({ shardsPerS }) => shardsPerS)),
    ])
    return {
      shards: count,
      versions: VERSIONS,
      medians: Object.fromEntries(medians) as object,
      raw,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
    await rm(modules, { recursive: true, force: true })
  }
}

const PARTS: Readonly<Record<string, () => Promise<object>>> = {
  takeover,
  drain,
  shards,
  scale: async () => ({ steps: await measureScale(flag('pages', 1_000), repeats) }),
  overhead: () => measureOverhead(flag('rows', 4_000_000), flag('repeats', 5)),
  idle: () => measureIdle(flag('sessions', 50), flag('claims', 10_000), flag('seconds', 60)),
  resident: measureServeResident,
}

for (const name of chosen)
  if (!Object.hasOwn(PARTS, name))
    throw new Error(`no part "${name}"; there are ${Object.keys(PARTS).join(', ')}`)
const report: Record<string, unknown> = { machine: machineFacts(), date: new Date().toISOString() }
for (const [name, run] of Object.entries(PARTS)) {
  if (!wants(name)) continue
  const loadBefore = Number(loadavg()[0]?.toFixed(2))
  log(`── ${name}, load ${loadBefore}`)
  report[name] = { loadBefore, ...(await run()) }
}
await writeReport(['cluster', ...chosen].join('-'), report)
