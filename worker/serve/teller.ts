/**
 * Events of the cluster for people: `hakiri events`, `hakiri runs logs`. They are told to the catalog when
 * it is there; work never waits for one, and a catalog that is away costs the event, not the work.
 */
import type { NewClusterEvent } from '../../catalog/cluster.ts'
import type { ServeDeps } from './deps.ts'

export type EventAbout = Partial<Pick<NewClusterEvent, 'runId' | 'pipeline' | 'shard' | 'data'>>

export type Tell = (
  level: NewClusterEvent['level'],
  kind: string,
  message: string,
  about?: EventAbout,
) => void

/** Told but not stored yet at the most; later ones are dropped. */
const WAITING_MAX = 1_000

export function createTeller(
  deps: Pick<ServeDeps, 'catalog' | 'clock' | 'identity' | 'logger'>,
): Tell {
  const { catalog, clock, identity, logger } = deps
  let waiting: NewClusterEvent[] = []
  let isWriting = false

  async function write(): Promise<void> {
    isWriting = true
    try {
      while (waiting.length > 0) {
        const events = waiting
        waiting = []
        await catalog.addClusterEvents(events)
      }
    } catch (error) {
      logger.log('debug', `events are lost: ${String(error)}`)
    } finally {
      isWriting = false
    }
  }

  return (level, kind, message, about = {}) => {
    if (waiting.length >= WAITING_MAX) return
    waiting.push({
      at: clock.now(),
      level,
      runId: about.runId ?? null,
      pipeline: about.pipeline ?? null,
      shard: about.shard ?? null,
      worker: identity.name,
      kind,
      message,
      data: about.data ?? null,
    })
    if (!isWriting) write().catch(() => undefined)
  }
}
