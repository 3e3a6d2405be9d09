/**
 * What a watch stream takes and gives, in the shapes of the etcd v3 API. A stream is pulled, so a
 * consumer that does not take costs no memory, and one that falls behind is served from history.
 */
import type { KvEvent } from './types.ts'

/** A watch that a client asks for. */
export type WatchRequest = {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  /** 0: from the next revision on. */
  readonly startRevision: number
  readonly withPrevKv: boolean
  readonly skipPuts: boolean
  readonly skipDeletes: boolean
  readonly progressNotify: boolean
  /** 0: the stream chooses. */
  readonly watchId: number
}

/** One answer on a watch stream, before fragmentation. `watchId` -1 stands for the whole stream. */
export type WatchAnswer = {
  readonly watchId: number
  readonly revision: number
  readonly events: readonly KvEvent[]
  readonly created: boolean
  readonly canceled: boolean
  readonly compactRevision: number
  readonly cancelReason: string
}

/**
 * The watches of one client stream. The edge pulls: nothing is buffered for a consumer that does not
 * take, and one that falls behind is served from history or told where history broke (K2).
 */
export type WatchStream = Disposable & {
  create(request: WatchRequest): void
  cancel(watchId: number): void
  requestProgress(): void
  /** The next answer in order, at most about `bytesMax` of events; undefined when there is none now. */
  take(bytesMax: number): WatchAnswer | undefined
}

/** All watch streams of a member, over its store. */
export type WatchHub = {
  readonly streamCount: number
  readonly watchCount: number
  /** `wake` is called, at most once until the next `take`, when there may be something to take. */
  open(wake: () => void): WatchStream
  /** Looks at what was applied since the last call: after each batch, and before a compaction. */
  advance(): void
  /** Goes on over another store of the same history, which a snapshot brought. */
  replaceStore(store: WatchedStore): void
  /** Lets time pass for progress notifications; every second or so. */
  tick(nowMs: number): void
}

/** What a hub needs of a store. */
export type WatchedStore = {
  readonly revision: number
  readonly compactRevision: number
  eventsSince(
    from: number,
    range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
    bytesMax: number,
    withPrevKv?: boolean,
  ): { readonly ok: true; readonly value: WatchedEvents } | { readonly ok: false }
  visitChanges(from: number, visit: (key: string, revision: number) => void): void
}

/** Events of whole revisions, and the first revision that was not looked at. */
export type WatchedEvents = { readonly events: readonly KvEvent[]; readonly next: number }
