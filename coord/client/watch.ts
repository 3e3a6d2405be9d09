/**
 * A watch that survives reconnects: drives the watch machine with streams and a bounded buffer. Each
 * watch has a stream of its own, so a consumer that is slow holds up nobody else: the buffer fills,
 * the stream is paused, and the server keeps the rest as history.
 */
import type { watchService, WatchResponse } from '../../proto/gen/rpc.ts'
import { CoordError, type WatchBatch, type Watcher, type WatchOptions } from './client.ts'
import { createOutbox, type Outbox } from './outbox.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import { errorOf } from './outcome.ts'
import type { StreamHandlers } from './link.ts'
import type { ClientParts, PooledStream } from './pool.ts'
import { startWatch, stepWatch, type WatchEffect, type WatchInput } from './watch-state.ts'

/** What goes up a watch stream. */
export type WatchStreamRequest = Parameters<typeof watchService.watch.requestSerialize>[0]

export type WatchParts = ClientParts & {
  readonly openStream: (
    to: StreamHandlers<WatchResponse>,
    options: { readonly limitMs: number; readonly signal: AbortSignal },
  ) => Promise<PooledStream<WatchStreamRequest>>
  /** Aborts when the client itself is disposed of. */
  readonly ended: AbortSignal
}

const CONNECT_MS = 5_000
const PAUSE_FIRST_MS = 25
const PAUSE_MOST_MS = 1_000

type Current = { stream?: PooledStream<WatchStreamRequest> }

/** Starts at once; ends on disposal, on the signal, or for a reason of the server. */
export function openWatch(parts: WatchParts, key: Uint8Array, options: WatchOptions): Watcher {
  const { clock, random, logger } = parts
  const created = Promise.withResolvers<number>()
  // Whoever iterates meets the same error; nobody has to listen here.
  created.promise.catch(() => undefined)
  const closed = new AbortController()
  let state = startWatch(options.startRevision ?? 0)
  let current: Current | undefined
  let breaks = 0

  const outbox: Outbox<WatchBatch> = createOutbox({
    onFull: () => current?.stream?.pause(),
    onRoom: () => current?.stream?.resume(),
    onLeft: () => close(),
  })
  const close = (error?: CoordError): void => {
    if (closed.signal.aborted) return
    closed.abort()
    options.signal?.removeEventListener('abort', onAbort)
    current?.stream?.cancel()
    current = undefined
    outbox.end(error)
    parts.ended.removeEventListener('abort', onAbort)
    created.reject(error ?? new CoordError(STATUS.cancelled, 'the watch was closed', 'failed'))
  }
  const onAbort = (): void => close()
  const take = (from: Current, input: WatchInput): void => {
    if (current !== from) return
    const step = stepWatch(state, input)
    state = step.state
    for (const effect of step.effects) perform(effect)
  }
  const perform = (effect: WatchEffect): void => {
    switch (effect.kind) {
      case 'created':
        breaks = 0
        return created.resolve(effect.revision)
      case 'batch':
        return outbox.put(effect.batch, sizeOf(effect.batch))
      case 'reopen':
        return reopen()
      case 'end':
        return close()
      case 'fail':
        return close(errorOf(effect.status, effect.message))
    }
  }
  const reopen = (): void => {
    current?.stream?.cancel()
    current = undefined
    const ceiling = Math.min(PAUSE_MOST_MS, PAUSE_FIRST_MS * 2 ** breaks++)
    logger.log('debug', 'a watch is resumed', { from: state.resumeAt, attempt: breaks })
    const ignore = (): void => undefined
    clock.sleep(ceiling / 2 + (ceiling / 2) * random.float(), closed.signal).then(open, ignore)
  }
  const open = (): void => {
    if (closed.signal.aborted) return
    const mine: Current = {}
    current = mine
    const handlers = {
      onAnswer: (answer: WatchResponse) => take(mine, { kind: 'answer', answer }),
      onEnd: ({ status, message }: CoordError) => take(mine, { kind: 'broken', status, message }),
    }
    const opening = parts.openStream(handlers, { limitMs: CONNECT_MS, signal: closed.signal })
    opening.then(
      (stream) => {
        if (current !== mine) return stream.cancel()
        mine.stream = stream
        stream.send(createRequest(key, options, state.resumeAt))
        if (outbox.isFull()) stream.pause()
      },
      (error: unknown) => {
        if (!(error instanceof CoordError)) throw error
        take(mine, { kind: 'broken', status: error.status, message: error.message })
      },
    )
  }

  if (options.signal?.aborted || parts.ended.aborted) close()
  else {
    options.signal?.addEventListener('abort', onAbort, { once: true })
    parts.ended.addEventListener('abort', onAbort, { once: true })
    open()
  }
  return {
    created: created.promise,
    [Symbol.asyncIterator]: () => outbox.take(),
    [Symbol.asyncDispose]: () => {
      close()
      return Promise.resolve()
    },
  }
}

function createRequest(
  key: Uint8Array,
  options: WatchOptions,
  startRevision: number,
): WatchStreamRequest {
  return {
    createRequest: {
      key,
      rangeEnd: options.rangeEnd ?? new Uint8Array(0),
      startRevision,
      progressNotify: options.progressNotify ?? false,
      filters: [],
      prevKv: options.prevKv ?? false,
      watchId: 0,
      fragment: false,
    },
  }
}

function sizeOf(batch: WatchBatch): number {
  if (batch.kind !== 'events') return 0
  return batch.events.reduce(
    (sum, { kv, prevKv }) =>
      sum +
      (kv?.key.length ?? 0) +
      (kv?.value.length ?? 0) +
      (prevKv ? prevKv.key.length + prevKv.value.length : 0),
    0,
  )
}
