/** Work for a cluster: one run after the other, each with rows that the last one did not have. */
import type { Catalog } from '../../catalog/catalog.ts'
import { type Audit, auditTable } from './audit.ts'
import { type Lab, PARTS } from './lab.ts'
import { until } from '../support/until.ts'

export type Load = AsyncDisposable & {
  /** Runs that ended well so far. */
  runs(): number
  /** Resolves when as many more runs have ended. */
  more(runs: number, waitMs?: number): Promise<void>
  /** Ends after one last run, and audits everything. Throws when a run has failed. */
  finish(): Promise<Audit>
}

const RUN_MS = 240_000
const MORE_ROWS = 60
const PIPELINE = 'shop'

/** Asks for a run as `hakiri run --cluster` does, and waits until it is over. */
export async function runOnce(catalog: Catalog, waitMs = RUN_MS): Promise<void> {
  const manifest = await catalog.manifest()
  const { runId } = await catalog.requestRun({
    pipeline: PIPELINE,
    kind: 'run',
    request: { kind: 'run', fullRefresh: false },
    trigger: 'manual',
    fireKey: null,
    scheduledAt: Date.now(),
    overlap: 'queue',
    manifestVersion: manifest?.version ?? 0,
    by: 'test',
  })
  const row = await until(
    `run ${runId} ends`,
    async () => {
      // The catalog may be away for a moment; the run is not over then.
      const found = await catalog.run(runId).catch(() => undefined)
      return found && found.endedAt !== null ? found : undefined
    },
    waitMs,
    async () => JSON.stringify(await catalog.runProgress(runId).catch(String)),
  )
  if (row.status !== 'succeeded')
    throw new Error(`run ${runId} ended as ${row.status}: ${row.error}`)
}

export async function startLoad(lab: Lab): Promise<Load> {
  const catalog = await lab.catalog()
  lab.api.latencyMs = 20
  let isOver = false
  let runs = 0
  let failure: Error | undefined
  const work = async (): Promise<void> => {
    while (!isOver) {
      lab.api.rows += MORE_ROWS
      await runOnce(catalog)
      runs += 1
    }
  }
  const working = work().catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error))
  })
  const throwFailure = (): void => {
    if (failure !== undefined) throw failure
  }
  return {
    runs: () => runs,
    async more(count, waitMs = RUN_MS) {
      const enough = runs + count
      await until(
        `${count} more runs`,
        () => {
          throwFailure()
          return Promise.resolve(runs >= enough)
        },
        waitMs,
      )
    },
    async finish() {
      isOver = true
      await working
      throwFailure()
      await runOnce(catalog)
      return auditTable(lab.table(), PARTS, lab.api.rows)
    },
    async [Symbol.asyncDispose]() {
      isOver = true
      await working
      lab.api.latencyMs = 0
      await catalog[Symbol.asyncDispose]()
    },
  }
}
