/**
 * Watchers beside a workload, one for each client: some take their time, all are now and then ended and
 * go on where they were, and one that is told that its place in history is gone goes on behind that.
 */
import { CoordError } from '../../../../coord/client/client.ts'
import type { WatchBatch } from '../../../../coord/client/client.ts'
import { toKv } from '../calls.ts'
import type { WatchEvent } from '../types.ts'
import { chance, think, pick, type NamedClient, type Work } from './work.ts'

export type Watchers = {
  /** Waits until each has seen this revision, or until that is given up, and ends them. */
  finish(revision: number | undefined): Promise<void>
}

type KeyRange = { readonly key: string; readonly end: string }

const SLOW_MS = 150

/** Watches from a revision on; each client has a watcher of the whole range and one of a part. */
export function startWatchers(work: Work, ranges: readonly KeyRange[], from: number): Watchers {
  const ended = new AbortController()
  const watchers = work.clients.flatMap((client, at) => {
    const parts = [ranges[0]!, pick(work, ranges)]
    return parts.map((range, part) =>
      startWatcher(work, { client, range, from, name: `w${at}.${part}`, ended: ended.signal }),
    )
  })
  return {
    async finish(revision) {
      if (revision !== undefined) {
        const until = watchers.map((watcher) => watcher.sees(revision))
        await Promise.race([Promise.all(until), aborted(work.giveUp)])
      }
      ended.abort()
      await Promise.all(watchers.map(({ done }) => done))
    },
  }
}

type WatcherPlan = {
  readonly client: NamedClient
  readonly range: KeyRange
  readonly from: number
  readonly name: string
  readonly ended: AbortSignal
}

type OneWatcher = { readonly done: Promise<void>; sees(revision: number): Promise<void> }

function startWatcher(work: Work, plan: WatcherPlan): OneWatcher {
  const hasPrev = chance(work, 0.5)
  const isSlow = chance(work, 0.3)
  const waiting = Promise.withResolvers<void>()
  let wanted = Infinity
  let seenTo = plan.from - 1
  const note = (revision: number): void => {
    seenTo = Math.max(seenTo, revision)
    if (seenTo >= wanted) waiting.resolve()
  }
  /** One watch; gives where the next one starts. */
  const watchOnce = async (from: number): Promise<number> => {
    const { range, client, ended } = plan
    const { key, end } = range
    const watcher = `${plan.name}@${client.name}`
    const record = work.recorder.watch({ watcher, key, end, hasPrev, from })
    const options = { rangeEnd: Buffer.from(end), startRevision: from, prevKv: hasPrev }
    await using watch = client.client.watch(Buffer.from(key), { ...options, signal: ended })
    for await (const batch of watch) {
      take(batch, record, note)
      if (batch.kind === 'compacted') return Math.max(batch.compactRevision + 1, seenTo + 1)
      if (isSlow) await think(work, SLOW_MS)
      if (chance(work, 0.02)) break
    }
    return seenTo + 1
  }
  const run = async (): Promise<void> => {
    for (let from = plan.from; !plan.ended.aborted;) {
      try {
        from = await watchOnce(from)
      } catch (error) {
        if (!(error instanceof CoordError)) throw error
        from = Math.max(from, seenTo + 1)
        await think(work, 200)
      }
    }
  }
  const done = run()
  // Whoever finishes meets it.
  done.catch(() => undefined)
  return {
    done,
    sees(revision) {
      wanted = revision
      note(seenTo)
      return waiting.promise
    },
  }
}

function take(
  batch: WatchBatch,
  record: ReturnType<Work['recorder']['watch']>,
  note: (revision: number) => void,
): void {
  switch (batch.kind) {
    case 'events': {
      const events = batch.events.flatMap(({ type, kv, prevKv }): WatchEvent[] =>
        kv
          ? [
              {
                type: type === 0 ? 'put' : 'delete',
                kv: toKv(kv),
                ...(prevKv && { prev: toKv(prevKv) }),
              },
            ]
          : [],
      )
      record({ kind: 'events', events })
      return note(Math.max(...events.map(({ kv }) => kv.mod)))
    }
    case 'progress':
      record({ kind: 'progress', revision: batch.revision })
      return note(batch.revision)
    case 'compacted':
      record({ kind: 'compacted', compactRevision: batch.compactRevision })
      // What is gone from history will not be shown: the watcher is as far as anybody can be.
      return note(batch.compactRevision)
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) return
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
}
