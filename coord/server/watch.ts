/**
 * The Watch stream. Answers are pulled from the node while the network takes them, and requests are
 * read only then: a client that does not read costs the bytes of one answer, not of its backlog.
 */
import { duplex } from './stream.ts'
import type { Received, Route } from './route.ts'
import type { StreamControl, StreamHooks } from './stream.ts'
import type { Edge } from './edge.ts'
import { refusalOf, TOO_MANY_WATCHES } from './errors.ts'
import { encodeWatch } from './watch-encode.ts'
import { WatchCreateRequestFilterType, watchService } from '../../proto/gen/rpc.ts'
import type { WatchCreateRequest, WatchRequest } from '../../proto/gen/rpc.ts'
import type * as kv from '../kv/watch-types.ts'
import type { ServerDuplexStream } from '@grpc/grpc-js'

/** How a request for a watch will be answered, in the order of the requests. */
type Creation =
  { readonly kind: 'asked'; readonly fragment: boolean } | { readonly kind: 'refused' }

type WatchCall = ServerDuplexStream<Received<WatchRequest>, Buffer>

/** The smallest key: what an empty one means for a watch. */
const FIRST_KEY = Buffer.of(0)

export function watchRoute(edge: Edge): Route {
  return duplex(edge, watchService.watch, (call, control) => openWatches(edge, call, control))
}

function openWatches(edge: Edge, call: WatchCall, control: StreamControl): StreamHooks {
  const { node, limits, metrics } = edge
  if (node.status().isLearner) {
    control.end(refusalOf('learner'))
    return { onClose: () => {} }
  }
  let isClosed = false
  let isWoken = false
  const book = createBook(limits.watchesPerStreamMax)
  const send = (answer: kv.WatchAnswer): void => {
    metrics.watchEventsSent.add(answer.events.length)
    const bytesMax = book.mayFragment(answer.watchId) ? limits.requestBytesMax : Infinity
    for (const encoded of encodeWatch(node, answer, bytesMax)) control.write(encoded)
  }
  const pump = (): void => {
    isWoken = false
    while (!isClosed && control.unsentBytes() < limits.watchUnsentBytesMax) {
      const refused = book.takeRefused(node.store.revision)
      const answer = refused ?? stream.take(limits.watchUnsentBytesMax)
      if (!answer) break
      if (!refused) book.note(answer)
      send(answer)
      book.forget(answer)
    }
    const isFull = control.unsentBytes() >= limits.watchUnsentBytesMax
    if (isFull && !call.isPaused()) call.pause()
    else if (!isFull && call.isPaused() && !isClosed) call.resume()
  }
  // The node may wake a stream in the midst of its own work: what is there is taken afterwards.
  const wake = (): void => {
    if (isWoken || isClosed) return
    isWoken = true
    queueMicrotask(pump)
  }
  const stream = node.watch(wake)
  call.on('data', ({ message }: Received<WatchRequest>) => {
    if (!message) return control.end(refusalOf('request-too-large'))
    const { createRequest, cancelRequest, progressRequest } = message
    if (createRequest && book.admit(createRequest)) stream.create(watchOf(createRequest))
    if (cancelRequest) stream.cancel(cancelRequest.watchId)
    if (progressRequest) stream.requestProgress()
    wake()
  })
  call.on('end', () => control.end())
  return {
    onSent: wake,
    onClose: () => {
      isClosed = true
      stream[Symbol.dispose]()
    },
  }
}

/** Keeps count of the watches of a stream, and which of them take their answers in parts. */
function createBook(watchesMax: number) {
  const creations: Creation[] = []
  const fragmenting = new Set<number>()
  const open = new Set<number>()
  return {
    /** Whether a request may go to the node; one that may not is answered in its turn. */
    admit: ({ fragment }: WatchCreateRequest): boolean => {
      const isRefused = open.size + creations.length >= watchesMax
      creations.push(isRefused ? { kind: 'refused' } : { kind: 'asked', fragment })
      return !isRefused
    },
    takeRefused: (revision: number): kv.WatchAnswer | undefined => {
      if (creations[0]?.kind !== 'refused') return undefined
      creations.shift()
      return refusedWatch(revision)
    },
    /** Answers to creations come in the order of the requests. */
    note: ({ created, canceled, watchId }: kv.WatchAnswer): void => {
      if (!created) return
      const creation = creations.shift()
      if (canceled) return
      open.add(watchId)
      if (creation?.kind === 'asked' && creation.fragment) fragmenting.add(watchId)
    },
    forget: ({ canceled, watchId }: kv.WatchAnswer): void => {
      if (!canceled) return
      open.delete(watchId)
      fragmenting.delete(watchId)
    },
    mayFragment: (watchId: number): boolean => fragmenting.has(watchId),
  }
}

function refusedWatch(revision: number): kv.WatchAnswer {
  return {
    watchId: -1,
    revision,
    events: [],
    created: true,
    canceled: true,
    compactRevision: 0,
    cancelReason: TOO_MANY_WATCHES,
  }
}

function watchOf(request: WatchCreateRequest): kv.WatchRequest {
  const { filters } = request
  return {
    key: request.key.length === 0 ? FIRST_KEY : request.key,
    rangeEnd: request.rangeEnd,
    startRevision: request.startRevision,
    withPrevKv: request.prevKv,
    skipPuts: filters.includes(WatchCreateRequestFilterType.noput),
    skipDeletes: filters.includes(WatchCreateRequestFilterType.nodelete),
    progressNotify: request.progressNotify,
    watchId: request.watchId,
  }
}
