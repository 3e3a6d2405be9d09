/** What it costs to exist: start-up and peak memory of the smallest commands. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { measure, median } from './measure.ts'

const HAKIRI = fileURLToPath(new URL('../hakiri', import.meta.url))

export type MemoryReport = Readonly<
  Record<string, { readonly wallMs: number; readonly cpuMs: number; readonly peakRssMb: number }>
>

export async function benchMemory(repeats: number): Promise<MemoryReport> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bench-'))
  try {
    const project = join(folder, 'project')
    await measure([HAKIRI, 'init', project], { cwd: folder, env: process.env })
    const report: Record<string, MemoryReport[string]> = {}
    for (const args of [['--version'], ['run'], ['status'], ['query', 'select 1']]) {
      const costs = []
      for (let round = 0; round < repeats; round++)
        costs.push(await measure([HAKIRI, ...args], { cwd: project, env: process.env }))
      report[`hakiri ${args.join(' ')}`] = {
        wallMs: Math.round(median(costs.map((cost) => cost.wallS)) * 1000),
        cpuMs: Math.round(median(costs.map((cost) => cost.cpuS)) * 1000),
        peakRssMb: Math.round(median(costs.map((cost) => cost.peakRssMb))),
      }
    }
    return report
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
