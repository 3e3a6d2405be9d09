/** Runs whose process died: marked when somebody looks, so that nothing seems at work that is not. */
import { hostname } from 'node:os'
import type { Catalog } from '../catalog/catalog.ts'
import { isProcessAlive } from '../lib/system/process.ts'

/** Newest runs that are looked at; older ones were looked at before. */
const RUNS_MAX = 100

/** Only processes of this machine can be told dead from here. */
export async function markLostRuns(catalog: Catalog): Promise<void> {
  const runs = await catalog.runs({ limit: RUNS_MAX })
  const workers = new Set(runs.filter((run) => run.status === 'running').map((run) => run.worker))
  for (const worker of workers) {
    const at = worker.lastIndexOf(':')
    const isHere = worker.slice(0, at) === hostname()
    if (isHere && !isProcessAlive(Number(worker.slice(at + 1)))) await catalog.markLost(worker)
  }
}
