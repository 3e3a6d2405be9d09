/**
 * Watches as a view of the history (K2). A watch is a range and the first revision that it has not
 * seen; it is either up to date, or queued in its stream to be read from history when the consumer
 * takes. Nothing is buffered for it, so a slow consumer is late but never skipped, and when a
 * compaction has overtaken it, it is told so. All events of a revision come in one answer.
 */
import { fromKey } from './bytes.ts'
import { createWatchGroups, eachGroupOf, joinGroup, leaveGroup, readGroup } from './watch-groups.ts'
import type { WatchGroup, WatchGroups } from './watch-groups.ts'
import type {
  WatchAnswer,
  WatchHub,
  WatchRequest,
  WatchStream,
  WatchedStore,
} from './watch-types.ts'

export type WatchHubOptions = {
  /** A watch that asked for it hears of the revision after about this long without an event. */
  readonly progressIntervalMs?: number
}

type Watch = {
  readonly id: number
  readonly stream: Stream
  readonly group: WatchGroup<Watch>
  readonly wantsProgress: boolean
  /** Nothing below this is delivered (any more); while the watch is up to date it may lag behind. */
  next: number
  /** In its stream's queue: there may be something to read. */
  isQueued: boolean
  /** Has delivered since the last progress notification was due. */
  hasDelivered: boolean
}

type Stream = {
  readonly wake: () => void
  readonly watches: Map<number, Watch>
  /** Answers to requests; they come before events. */
  readonly replies: WatchAnswer[]
  readonly queue: Watch[]
  readonly notices: Watch[]
  /** Requests for the stream's progress that are not answered yet. */
  progressAsked: number
  isAwake: boolean
  nextId: number
  noticeMs: number | undefined
  readonly intervalMs: number
}

type Hub = {
  store: WatchedStore
  readonly groups: WatchGroups<Watch>
  readonly streams: Set<Stream>
  /** Streams to be woken once all that happened is queued. */
  readonly toWake: Set<Stream>
  /** Streams that wait for an answer about their progress. */
  readonly asking: Set<Stream>
  /** Everything up to here was held against the groups. */
  seen: number
  opened: number
}

/** The id that stands for no watch, or for the whole stream. */
const NO_WATCH = -1
const PROGRESS_INTERVAL_MS = 600_000
const JITTER = 0.1

const REASON = {
  emptyRange: 'mvcc: watcher range is empty',
  duplicateId: 'mvcc: duplicate watch ID provided on the WatchStream',
  negativeStart: 'etcdserver: mvcc: required revision has been compacted',
} as const

export function createWatchHub(store: WatchedStore, options: WatchHubOptions = {}): WatchHub {
  const intervalMs = options.progressIntervalMs ?? PROGRESS_INTERVAL_MS
  const groups = createWatchGroups<Watch>()
  const hub: Hub = {
    store,
    groups,
    streams: new Set(),
    toWake: new Set(),
    asking: new Set(),
    seen: store.revision,
    opened: 0,
  }
  return {
    get streamCount() {
      return hub.streams.size
    },
    get watchCount() {
      return [...hub.groups.byName.values()].reduce((sum, { members }) => sum + members.size, 0)
    },
    open: (wake) => openStream(hub, wake, intervalMs),
    advance: () => advance(hub),
    replaceStore(next) {
      advance(hub)
      hub.store = next
      for (const group of groups.byName.values()) group.last = undefined
      forEachWatch(hub, (watch) => enqueue(hub, watch, hub.seen + 1))
      hub.seen = Math.max(hub.seen, next.revision)
      wakeStreams(hub)
    },
    tick: (nowMs) => {
      for (const stream of hub.streams) noticeProgress(stream, nowMs)
    },
  }
}

function openStream(hub: Hub, wake: () => void, intervalMs: number): WatchStream {
  const stream: Stream = {
    wake,
    watches: new Map(),
    replies: [],
    queue: [],
    notices: [],
    progressAsked: 0,
    isAwake: false,
    nextId: 0,
    noticeMs: undefined,
    intervalMs: intervalMs * jitterOf(hub.opened),
  }
  hub.opened += 1
  hub.streams.add(stream)
  return {
    create: (request) => create(hub, stream, request),
    cancel: (id) => cancel(hub, stream, id),
    requestProgress() {
      stream.progressAsked += 1
      hub.asking.add(stream)
      wakeUp(stream)
    },
    take: (bytesMax) => take(hub, stream, bytesMax),
    [Symbol.dispose]() {
      hub.streams.delete(stream)
      hub.asking.delete(stream)
      hub.toWake.delete(stream)
      for (const watch of stream.watches.values()) remove(hub, watch)
      // Whoever is gone is not woken any more.
      stream.isAwake = true
      stream.replies.length = 0
      stream.notices.length = 0
      stream.progressAsked = 0
    },
  }
}

/** Spreads the notifications of streams that were opened together, without any chance in it. */
function jitterOf(number: number): number {
  const spread = ((number * 0.618_033_988_75) % 1) * 2 - 1
  return 1 + spread * JITTER
}

function wakeUp(stream: Stream): void {
  if (stream.isAwake) return
  stream.isAwake = true
  stream.wake()
}

function enqueue(hub: Hub, watch: Watch, from: number): void {
  if (watch.isQueued) return
  watch.next = Math.max(watch.next, from)
  watch.isQueued = true
  watch.stream.queue.push(watch)
  hub.toWake.add(watch.stream)
}

function forEachWatch(hub: Hub, visit: (watch: Watch) => void): void {
  for (const { watches } of hub.streams) for (const watch of watches.values()) visit(watch)
}

/** Queues the watches that something happened for since the last look. */
function advance(hub: Hub): void {
  const { store, seen } = hub
  if (store.revision <= seen) return
  hub.seen = store.revision
  const isLost = store.compactRevision > seen + 1
  if (isLost)
    forEachWatch(hub, (watch) => {
      if (watch.next <= store.revision) enqueue(hub, watch, seen + 1)
    })
  store.visitChanges(seen + 1, (key, revision) =>
    eachGroupOf(hub.groups, key, ({ members }) => {
      for (const watch of members) if (watch.next <= revision) enqueue(hub, watch, revision)
    }),
  )
  wakeStreams(hub)
}

/** Only when all is queued: who is woken may take at once, and must not be told of progress too early. */
function wakeStreams(hub: Hub): void {
  for (const stream of hub.asking) wakeUp(stream)
  const woken = [...hub.toWake]
  hub.toWake.clear()
  for (const stream of woken) wakeUp(stream)
}

/** The revision of the answer and the start of the watch are one: no change falls between them. */
function create(hub: Hub, stream: Stream, asked: WatchRequest): void {
  advance(hub)
  const request = asked.key.length > 0 ? asked : { ...asked, key: fromKey('\0') }
  const cancelReason = refusal(stream, request)
  const watchId = cancelReason ? NO_WATCH : chooseId(stream, request)
  const canceled = cancelReason !== ''
  stream.replies.push(answer(hub, { watchId, created: true, canceled, cancelReason }))
  if (!cancelReason) add(hub, stream, watchId, request)
  wakeUp(stream)
}

function add(hub: Hub, stream: Stream, id: number, request: WatchRequest): void {
  const group = joinGroup(hub.groups, request)
  const { revision } = hub.store
  const next = request.startRevision === 0 ? revision + 1 : request.startRevision
  const wantsProgress = request.progressNotify
  const watch: Watch = {
    id,
    stream,
    group,
    wantsProgress,
    next,
    isQueued: false,
    hasDelivered: false,
  }
  group.members.add(watch)
  stream.watches.set(id, watch)
  if (next <= revision) enqueue(hub, watch, next)
}

function refusal(stream: Stream, { key, rangeEnd, startRevision, watchId }: WatchRequest): string {
  if (startRevision < 0) return REASON.negativeStart
  const hasEnd = rangeEnd.length > 1 || (rangeEnd.length === 1 && rangeEnd[0] !== 0)
  if (hasEnd && Buffer.compare(key, rangeEnd) >= 0) return REASON.emptyRange
  return watchId !== 0 && stream.watches.has(watchId) ? REASON.duplicateId : ''
}

function chooseId(stream: Stream, { watchId }: WatchRequest): number {
  if (watchId !== 0) return watchId
  while (stream.watches.has(stream.nextId)) stream.nextId += 1
  stream.nextId += 1
  return stream.nextId - 1
}

function cancel(hub: Hub, stream: Stream, watchId: number): void {
  const watch = stream.watches.get(watchId)
  if (!watch) return
  advance(hub)
  remove(hub, watch)
  stream.replies.push(answer(hub, { watchId, canceled: true }))
  wakeUp(stream)
}

function remove(hub: Hub, watch: Watch): void {
  const { stream, group } = watch
  stream.watches.delete(watch.id)
  leaveGroup(hub.groups, group, watch)
  if (watch.isQueued) stream.queue.splice(stream.queue.indexOf(watch), 1)
}

/** First answers to requests, then events, and only when there are none of either, progress. */
function take(hub: Hub, stream: Stream, bytesMax: number): WatchAnswer | undefined {
  if (!hub.streams.has(stream)) return undefined
  stream.isAwake = false
  advance(hub)
  return stream.replies.shift() ?? takeEvents(hub, stream, bytesMax) ?? takeProgress(hub, stream)
}

function takeEvents(hub: Hub, stream: Stream, bytesMax: number): WatchAnswer | undefined {
  for (let watch = stream.queue.shift(); watch; watch = stream.queue.shift()) {
    watch.isQueued = false
    const found = readGroup(watch.group, hub.store, watch.next, bytesMax)
    if (!found) return cancelCompacted(hub, watch)
    watch.next = found.next
    const isBehind = found.next <= hub.store.revision
    if (isBehind) enqueue(hub, watch, found.next)
    if (found.events.length === 0) continue
    watch.hasDelivered = true
    // What a client has heard of must not be beyond what it was given.
    const revision = isBehind ? found.next - 1 : hub.store.revision
    return answer(hub, { watchId: watch.id, events: found.events, revision })
  }
  return undefined
}

function cancelCompacted(hub: Hub, watch: Watch): WatchAnswer {
  remove(hub, watch)
  const { compactRevision } = hub.store
  return answer(hub, { watchId: watch.id, canceled: true, compactRevision })
}

function takeProgress(hub: Hub, stream: Stream): WatchAnswer | undefined {
  const isReached = ({ next }: Watch): boolean => next <= hub.store.revision + 1
  if (stream.progressAsked > 0 && [...stream.watches.values()].every(isReached)) {
    stream.progressAsked -= 1
    if (stream.progressAsked === 0) hub.asking.delete(stream)
    return answer(hub, { watchId: NO_WATCH })
  }
  for (let watch = stream.notices.shift(); watch; watch = stream.notices.shift()) {
    const isDue = stream.watches.get(watch.id) === watch && !watch.hasDelivered
    if (isDue && isReached(watch)) return answer(hub, { watchId: watch.id })
  }
  return undefined
}

function noticeProgress(stream: Stream, nowMs: number): void {
  stream.noticeMs ??= nowMs + stream.intervalMs
  if (nowMs < stream.noticeMs) return
  stream.noticeMs = nowMs + stream.intervalMs
  stream.notices.length = 0
  for (const watch of stream.watches.values()) {
    if (watch.wantsProgress && !watch.hasDelivered) stream.notices.push(watch)
    watch.hasDelivered = false
  }
  if (stream.notices.length > 0) wakeUp(stream)
}

function answer(
  hub: Hub,
  fields: Partial<WatchAnswer> & { readonly watchId: number },
): WatchAnswer {
  return {
    revision: hub.store.revision,
    events: [],
    created: false,
    canceled: false,
    compactRevision: 0,
    cancelReason: '',
    ...fields,
  }
}
