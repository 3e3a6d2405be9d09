/** The same API-bound run on one, two and four workers: speed-up against linear. */
import { join } from 'node:path'
import { median } from '../measure.ts'
import { log } from '../report.ts'
import { apiManifest, PAGE_ROWS, startApi } from './api-source.ts'
import { isOver, type Lab, mustSucceed, startLab, untilSettled } from './lab.ts'
import { cpuBetween, cpuBy, type CpuBy } from './proc.ts'

const PARTS = 12
const SLOTS = 3
const LATENCY_MS = 20
const WARM_PAGES = 50
const STEPS = [1, 2, 4] as const

export type ScaleStep = {
  readonly workers: number
  readonly runS: readonly number[]
  readonly medianS: number
  readonly speedUp: number
  /** Speed-up over workers. */
  readonly ofLinear: number
  /** All requests at the latency, over all slots: nobody can be faster. */
  readonly boundS: number
  readonly cpuS: readonly CpuBy[]
}

export async function measureScale(pages: number, repeats: number): Promise<readonly ScaleStep[]> {
  await using source = await startApi({ latencyMs: LATENCY_MS, pages })
  await using lab = await startLab()
  const place = { url: source.url, lake: join(lab.folder, 'lake'), parts: PARTS }
  await lab.apply(apiManifest({ ...place, mode: 'replace', maxOpenTime: '5m' }))
  const steps: ScaleStep[] = []
  for (const workers of STEPS) {
    while (lab.workers.length < workers)
      await lab.addWorker(`w${lab.workers.length + 1}`, ['--slots', String(SLOTS)])
    // Not counted: it discovers the shards, weighs them for the planner, and starts the encoders.
    source.setPages(WARM_PAGES)
    await once(lab, WARM_PAGES)
    source.setPages(pages)
    await untilSettled(lab, PARTS + 2, workers)
    const rounds = []
    for (let round = 0; round < repeats; round++) rounds.push(await once(lab, pages))
    const runS = rounds.map(({ seconds }) => seconds)
    const medianS = median(runS)
    const speedUp = (steps[0]?.medianS ?? medianS) / medianS
    const boundS = (PARTS * (pages + 1) * LATENCY_MS) / 1000 / (workers * SLOTS)
    const cpuS = rounds.map(({ cpu }) => cpu)
    const ofLinear = speedUp / workers
    steps.push({ workers, runS, medianS, speedUp, ofLinear, boundS, cpuS })
    log(
      `scale: ${workers} workers: ${runS.join(', ')} s, ${ofLinear.toFixed(3)} of linear, bound ${boundS.toFixed(1)}`,
    )
  }
  return steps
}

async function once(
  lab: Lab,
  pages: number,
): Promise<{ readonly seconds: number; readonly cpu: CpuBy }> {
  const [began, before] = [performance.now(), cpuBy(lab.pids())]
  const run = await lab.start('api')
  const { counters } = mustSucceed(await lab.untilRun(run, isOver))
  const [seconds, after] = [(performance.now() - began) / 1000, cpuBy(lab.pids())]
  const wanted = PARTS * pages * PAGE_ROWS
  if (counters.rowsRead !== wanted)
    throw new Error(`${counters.rowsRead} of ${wanted} rows were read`)
  const found = (await lab.hakiri('query', 'select count(*), count(distinct id) from items')) as {
    readonly rows: readonly (readonly unknown[])[]
  }
  const [rows, ids] = (found.rows[0] ?? []).map(Number)
  if (rows !== wanted || ids !== wanted) throw new Error(`the table holds ${rows} rows, ${ids} ids`)
  return { seconds: Math.round(seconds * 100) / 100, cpu: cpuBetween(before, after) }
}
