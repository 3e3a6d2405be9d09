/**
 * Between grpc-js and the handlers of streams: who is admitted, what is on its way, and one end, whoever
 * brings it about.
 */
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js'
import { needsLeader } from './edge.ts'
import type { Edge, OpenStream } from './edge.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import { EDGE, refusalOf } from './errors.ts'
import type { Refusal } from './errors.ts'
import { countCalls, define } from './route.ts'
import type { CallCounts, Method, Received, Route } from './route.ts'

/** What a stream's handler is given: already encoded messages go out, the end comes once. */
export type StreamControl = {
  /** Bytes that were written and not taken by the network yet. */
  unsentBytes(): number
  /** `onSent` of the stream is called when the network has taken it. */
  write(encoded: Buffer): void
  /** Ends it: without a refusal, as done, after what was written. */
  end(refusal?: Refusal): void
}

export type StreamHooks = {
  /** The network took something: there may be room again. */
  readonly onSent?: () => void
  /** The stream is over, whoever ended it. */
  readonly onClose: () => void
}

type StreamCall =
  ServerDuplexStream<Received<unknown>, Buffer> | ServerWritableStream<Received<unknown>, Buffer>

/** Answers a method that streams both ways. `open` is called for each stream that is admitted. */
export function duplex<Q, A>(
  edge: Edge,
  method: Method<Q, A>,
  open: (call: ServerDuplexStream<Received<Q>, Buffer>, control: StreamControl) => StreamHooks,
): Route {
  const calls = countCalls(edge, method)
  const handle = (call: ServerDuplexStream<Received<Q>, Buffer>): void => {
    openStream(edge, calls, call, (control) => open(call, control))
  }
  return { definition: define(edge, method, (encoded: Buffer) => encoded), handle }
}

/** Answers a method with one message in and a stream of them out. */
export function serverStream<Q, A>(
  edge: Edge,
  method: Method<Q, A>,
  open: (request: Q, control: StreamControl) => StreamHooks,
): Route {
  const calls = countCalls(edge, method)
  const handle = (call: ServerWritableStream<Received<Q>, Buffer>): void => {
    const { message } = call.request
    openStream(edge, calls, call, (control) => {
      if (message !== undefined) return open(message, control)
      control.end(refusalOf('request-too-large'))
      return { onClose: () => {} }
    })
  }
  return { definition: define(edge, method, (encoded: Buffer) => encoded), handle }
}

function openStream(
  edge: Edge,
  calls: CallCounts,
  call: StreamCall,
  open: (control: StreamControl) => StreamHooks,
): void {
  let unsent = 0
  let isOver = false
  let hooks: StreamHooks | undefined
  calls.started()
  const finish = (code: number): void => {
    if (isOver) return
    isOver = true
    edge.streams.delete(stream)
    calls.handled(code)
    hooks?.onClose()
  }
  const end = (refusal?: Refusal): void => {
    if (isOver) return
    finish(refusal?.code ?? STATUS.ok)
    // The way in which grpc-js takes a status for a stream.
    if (refusal) call.emit('error', refusal)
    else call.end()
  }
  const stream: OpenStream = { needsLeader: needsLeader(call.metadata), end }
  const control: StreamControl = {
    unsentBytes: () => unsent,
    write: (encoded) => {
      if (isOver) return
      unsent += encoded.length
      call.write(encoded, () => {
        unsent -= encoded.length
        if (!isOver) hooks?.onSent?.()
      })
    },
    end,
  }
  call.on('cancelled', () => finish(STATUS.cancelled))
  const refused = admitStream(edge, stream)
  if (refused) return end(refused)
  edge.streams.add(stream)
  hooks = open(control)
  // It may have been ended while it was opened.
  if (isOver) hooks.onClose()
}

function admitStream(edge: Edge, { needsLeader: asksForLeader }: OpenStream): Refusal | undefined {
  if (edge.signal.aborted) return refusalOf('stopped')
  if (edge.streams.size >= edge.limits.streamsMax) return EDGE.tooManyStreams
  if (asksForLeader && !edge.node.hasLeader()) return refusalOf('no-leader')
  return undefined
}
