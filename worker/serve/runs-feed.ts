/**
 * The open runs of the cluster as this worker saw them last: looked at once for all offices and parts
 * that need them. It may be behind; whoever acts on it is guarded by the catalog.
 */
import type { ClusterRun } from '../../catalog/cluster.ts'
import type { ServeDeps } from './deps.ts'
import { runLoop } from './loop.ts'
import { createPulse } from './pulse.ts'

export type RunsFeed = {
  readonly current: () => readonly ClusterRun[]
  ring(): void
  run(signal: AbortSignal): Promise<void>
}

/** While runs are open they change often. */
const LOOK_MS = 250

export type RunsListener = {
  /** After each look that found open runs, and after the first that found none. */
  readonly onLook: () => void
  /** When runs came, went, or changed their status. */
  readonly onChange: () => void
}

export function createRunsFeed(
  deps: Pick<ServeDeps, 'catalog' | 'clock' | 'random' | 'logger' | 'settings'>,
  { onLook, onChange }: RunsListener,
): RunsFeed {
  const { catalog, clock, random, logger, settings } = deps
  const pulse = createPulse(clock)
  let current: readonly ClusterRun[] = []
  async function step(): Promise<number | void> {
    const before = current
    current = await catalog.openRuns()
    if (summaryOf(current) !== summaryOf(before)) onChange()
    if (current.length > 0 || before.length > 0) onLook()
    if (current.length > 0) return LOOK_MS
  }
  const loop = { name: 'the list of runs', pulse, intervalMs: settings.pollMs, step }
  return {
    current: () => current,
    ring: () => pulse.ring(),
    run: (signal) => runLoop({ ...loop, clock, random, logger }, signal),
  }
}

function summaryOf(runs: readonly ClusterRun[]): string {
  return runs.map(({ id, status, isCancelled }) => `${id} ${status} ${isCancelled}`).join(', ')
}
