/** Publishes tables while a long run is still at work, at most once per interval and table at a time. */
import type { ProgressEvent, WorkerDeps } from './deps.ts'
import { publishTable } from './publisher.ts'

export type PublishTimer = AsyncDisposable & {
  /** The same dependencies, with commits observed. */
  observe(deps: WorkerDeps): WorkerDeps
}

/** Driven by commits, not by a clock of its own: without commits there is nothing to publish. */
export function createPublishTimer(
  tables: readonly string[],
  intervalMs: number,
  deps: WorkerDeps,
): PublishTimer {
  let lastAt = deps.clock.monotonic()
  let publishing: Promise<void> | undefined

  function maybePublish(): void {
    if (publishing || deps.clock.monotonic() - lastAt < intervalMs) return
    lastAt = deps.clock.monotonic()
    publishing = publishAll().finally(() => (publishing = undefined))
  }

  async function publishAll(): Promise<void> {
    for (const table of tables) {
      try {
        await publishTable(table, deps)
      } catch (error) {
        // The commits are durable; the end of the run publishes them, or says why it cannot.
        deps.logger.log('warn', `publishing is postponed: ${String(error)}`, { table })
      }
    }
  }

  return {
    observe: (observed) => ({
      ...observed,
      onProgress: (event: ProgressEvent) => {
        observed.onProgress(event)
        if (event.kind === 'committed') maybePublish()
      },
    }),
    async [Symbol.asyncDispose]() {
      await publishing
    },
  }
}
