/**
 * The publisher of one table and of its quarantine: under its own claim and, in the catalog, its own
 * epoch. While a run is at work it publishes once an interval, all shards' commits together; when a run
 * is finishing, at once. A publisher that lost its office publishes nothing: the catalog refuses its
 * epoch (L3).
 */
import { HakiriError } from '../../lib/error.ts'
import { quarantineTable } from '../../sink/plan/names.ts'
import { maintainTable } from '../maintenance.ts'
import { createPublisher, type PublishDeps } from '../publisher.ts'
import type { ServeDeps } from './deps.ts'
import { runLoop } from './loop.ts'
import type { ManifestFeed } from './manifest-feed.ts'
import { createPulse } from './pulse.ts'
import type { RunsFeed } from './runs-feed.ts'
import type { Workshop } from './workshop.ts'

export type PublishingOffice = {
  ring(): void
  run(signal: AbortSignal): Promise<void>
}

export function createPublishing(
  pipeline: string,
  table: string,
  deps: ServeDeps,
  feed: ManifestFeed,
  runsFeed: RunsFeed,
  workshop: Workshop,
): PublishingOffice {
  const { catalog, clock, random, logger, observer, settings } = deps
  const pulse = createPulse(clock)
  const names = [table, quarantineTable(table)]
  const publishers = names.map((name) => createPublisher(name))
  let lastAt = Number.NEGATIVE_INFINITY
  /** When the oldest commit that may be pending was looked for first. */
  let waitingSince: number | undefined
  let finished: number | undefined

  async function step(signal: AbortSignal): Promise<void> {
    const config = feed.current()?.manifest.pipelines[pipeline]
    if (!config) return
    const shop = await workshop.destination(config.destination)
    const runs = runsFeed.current().filter((run) => run.pipeline === pipeline)
    const ending = runs.find((run) => run.status === 'finishing')
    const isDue = clock.monotonic() - lastAt >= shop.destination.publishIntervalMs
    if (isDue || ending) {
      const began = clock.monotonic()
      for (const publisher of publishers) await publishAll(publisher, shop.runnerDeps(pipeline))
      lastAt = clock.monotonic()
      observer.published(table, lastAt - (waitingSince ?? began))
      waitingSince = undefined
    }
    if (ending) finished = ending.id
    else if (finished !== undefined) await maintain(signal)
    if (runs.length > 0) waitingSince ??= clock.monotonic()
  }

  async function publishAll(
    publisher: ReturnType<typeof createPublisher>,
    publishDeps: PublishDeps,
  ): Promise<void> {
    const outcome = await publisher.publish(publishDeps)
    // Somebody published by hand (hakiri run); this office stands, so it takes the table back.
    if (outcome === 'fenced') publisher.forget()
  }

  /** After a run: small files become large ones, and what nobody needs any more is deleted. */
  async function maintain(signal: AbortSignal): Promise<void> {
    const runId = finished
    finished = undefined
    const config = feed.current()?.manifest.pipelines[pipeline]
    const run = runId === undefined ? undefined : await catalog.run(runId)
    if (!config || run?.status !== 'succeeded') return
    const shop = await workshop.destination(config.destination)
    const runner = shop.runnerDeps(pipeline)
    const publish = async (name: string): Promise<void> => {
      const publisher = publishers[names.indexOf(name)]
      if (publisher) await publisher.publish(runner)
    }
    try {
      const { bytesWritten } = run.counters
      await maintainTable(table, bytesWritten, shop.destination, runner, signal, publish)
    } catch (error) {
      if (!(error instanceof HakiriError)) throw error
      logger.log('warn', `maintenance of ${table} is postponed: ${error.message}`, {
        code: error.code,
      })
    }
  }

  return {
    ring: () => pulse.ring(),
    run: (signal) =>
      runLoop(
        {
          name: `the publisher of ${table}`,
          pulse,
          intervalMs: settings.pollMs,
          clock,
          random,
          logger,
          step,
        },
        signal,
      ),
  }
}
