/**
 * The live view: reads everything at one revision, watches from the next one on, and starts over when
 * the history in between is gone. Invariant: each view is the state of one revision, and they go
 * forward; listeners are told the newest, after changes that came together only once.
 */
import { CoordError } from '../coord/client/client.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock, Random } from '../lib/ports.ts'
import type { ClusterView } from './coordination.ts'
import { readView, type ViewParts } from './view.ts'

export type WatchViewParts = ViewParts & { readonly clock: Clock; readonly random: Random }

export type LiveView = AsyncDisposable & { readonly current: ClusterView | undefined }

/** Changes within this time are told together. */
const GATHER_MS = 20
const PAUSES = { retriesMax: Infinity, firstMs: 50, mostMs: 2_000 }

/** Watches until disposed of; while no coordinator answers the last view stays. */
export function watchView(parts: WatchViewParts, onChange: (view: ClusterView) => void): LiveView {
  const { clock, random, logger } = parts
  const ended = new AbortController()
  const { signal } = ended
  let current: ClusterView | undefined
  let latest: (() => ClusterView) | undefined
  let failures = 0

  /** Calls back soon, unless that is on its way already. */
  const tell = (make: () => ClusterView): void => {
    const isUnderWay = latest !== undefined
    latest = make
    if (!isUnderWay) clock.sleep(GATHER_MS, signal).then(deliver, () => undefined)
  }
  const deliver = (): void => {
    const view = latest?.()
    latest = undefined
    if (!view || signal.aborted) return
    current = view
    onChange(view)
  }
  const onUp = (): void => {
    if (failures > 0) logger.log('info', 'the view of the cluster is up to date again')
    failures = 0
  }
  const onDown = (error: unknown): void => {
    if (!(error instanceof CoordError)) throw error
    failures += 1
    if (failures === 1)
      logger.log('warn', 'the view of the cluster is not kept up to date', {
        reason: error.message,
      })
  }
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await follow(parts, tell, onUp, signal)
      } catch (error) {
        if (signal.aborted) return
        onDown(error)
      }
      const waitMs = backoffMs(PAUSES, failures + 1, random)
      await clock.sleep(waitMs, signal).catch(() => undefined)
    }
  }
  const running = run()
  return {
    get current() {
      return current
    },
    async [Symbol.asyncDispose]() {
      ended.abort()
      await running
    },
  }
}

/** One reading and the watch after it; returns when the watch was overtaken by a compaction. */
async function follow(
  parts: WatchViewParts,
  tell: (make: () => ClusterView) => void,
  onUp: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { client, keys } = parts
  const first = await readView(parts, signal)
  const { state } = first
  let { revision } = first
  const make = (): ClusterView => state.at(revision)
  onUp()
  tell(make)
  const { key, rangeEnd } = keys.all
  await using watcher = client.watch(key, { rangeEnd, startRevision: revision + 1, signal })
  for await (const batch of watcher) {
    if (batch.kind === 'compacted') return
    if (batch.kind !== 'events') continue
    state.apply(batch.events)
    revision = batch.events.reduce((most, { kv }) => Math.max(most, kv?.modRevision ?? 0), revision)
    tell(make)
  }
}
