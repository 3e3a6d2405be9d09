/** What happens in a worker, as metrics and log lines. */
import type { Logger } from '../../lib/ports.ts'
import type { WorkerMetrics } from '../../worker/metrics.ts'
import type { Dependency, ServeObserver } from '../../worker/serve/deps.ts'

export type Observation = {
  readonly observer: ServeObserver
  readonly up: () => Readonly<Record<Dependency, boolean>>
}

export function observeServe(metrics: WorkerMetrics, logger: Logger): Observation {
  const up: Record<Dependency, boolean> = { coordinator: true, catalog: true, bucket: true }
  const observer: ServeObserver = {
    claimed: (units) => logger.log('debug', 'units were claimed', { units }),
    released: (units) => logger.log('debug', 'units were given back', { units }),
    tookOver: (ms) => metrics.onTakeover(ms),
    joined: () => undefined,
    sessionEnded: (how) => {
      if (how === 'lost') metrics.onSessionLost()
    },
    plannerChanged: () => undefined,
    dependencyChanged: (dependency, isUp) => (up[dependency] = isUp),
    queueChanged: () => undefined,
    committed: (pipeline, facts) => metrics.onCommit({ pipeline, ...facts }),
    progress(_pipeline, event) {
      if (event.kind === 'published')
        logger.log('info', 'a version was published', {
          table: event.table,
          version: event.version,
        })
      if (event.kind === 'schema') logger.log('info', event.change, { table: event.table })
    },
    partEnded(pipeline, outcome) {
      if (outcome === 'fenced') metrics.onFenced(pipeline)
      if (outcome === 'failed') metrics.onShardFailed(pipeline)
    },
    published: (_table, delayMs) => metrics.onPublish(delayMs),
  }
  return { observer, up: () => ({ ...up }) }
}
