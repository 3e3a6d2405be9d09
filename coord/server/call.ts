/**
 * Between grpc-js and the handlers: check → call → map error. A unary handler is a function from a
 * message to an answer, or to the promise of one; little else is created for a request.
 */
import type {
  MethodDefinition,
  sendUnaryData,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
} from '@grpc/grpc-js'
import { needsLeader } from './edge.ts'
import type { Edge, OpenStream } from './edge.ts'
import { EDGE, refusalFrom, refusalOf, STATUS } from './errors.ts'
import type { Refusal } from './errors.ts'
import type { Counter } from './metrics-registry.ts'

/** A row of a generated service table. */
export type Method<Q, A> = {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestDeserialize: (bytes: Uint8Array) => Q
  readonly responseSerialize: (message: A) => Buffer
}

type Described = Pick<Method<never, never>, 'path' | 'requestStream' | 'responseStream'>

/** A message as it came, with its size; one beyond the limit is not decoded at all. */
export type Received<Q> = { readonly bytes: number; readonly message: Q | undefined }

/** A method with what answers it, in the terms of grpc-js. */
export type Route = {
  readonly definition: MethodDefinition<unknown, unknown>
  readonly handle: UntypedHandleCall
}

/** Adds the methods of one service to a server. */
export function addRoutes(server: Server, routes: readonly Route[]): void {
  const named = routes.map((route) => [route.definition.path, route] as const)
  server.addService(
    Object.fromEntries(named.map(([path, { definition }]) => [path, definition])),
    Object.fromEntries(named.map(([path, { handle }]) => [path, handle])),
  )
}

/** Answers a method with one message in and one out. */
export function unary<Q, A>(
  edge: Edge,
  method: Method<Q, A>,
  handler: (request: Q) => A | Promise<A>,
): Route {
  const calls = countCalls(edge, method)
  const handle = (call: ServerUnaryCall<Received<Q>, A>, callback: sendUnaryData<A>): void => {
    const { message, bytes } = call.request
    const refuse = (refusal: Refusal): void => {
      calls.handled(refusal.code)
      callback(refusal)
    }
    const answer = (value: A): void => {
      calls.handled(STATUS.ok)
      callback(null, value)
    }
    calls.started()
    const refused = admit(edge, call, bytes)
    if (refused) return refuse(refused)
    if (message === undefined) return refuse(refusalOf('request-too-large'))
    try {
      const value = handler(message)
      if (!(value instanceof Promise)) return answer(value)
      edge.inFlightBytes += bytes
      const done = (): void => {
        edge.inFlightBytes -= bytes
      }
      value.then(
        (later) => {
          done()
          answer(later)
        },
        (error: unknown) => {
          done()
          refuse(refusalFrom(error))
        },
      )
    } catch (error) {
      refuse(refusalFrom(error))
    }
  }
  return { definition: define(edge, method, method.responseSerialize), handle: handle as never }
}

function admit(
  edge: Edge,
  call: { readonly metadata: ServerUnaryCall<unknown, unknown>['metadata'] },
  bytes: number,
): Refusal | undefined {
  if (edge.signal.aborted) return refusalOf('stopped')
  if (edge.inFlightBytes + bytes > edge.limits.inFlightBytesMax)
    return refusalOf('too-many-requests')
  if (!edge.node.hasLeader() && needsLeader(call.metadata)) return refusalOf('no-leader')
  return undefined
}

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
}

function admitStream(edge: Edge, { needsLeader: asksForLeader }: OpenStream): Refusal | undefined {
  if (edge.signal.aborted) return refusalOf('stopped')
  if (edge.streams.size >= edge.limits.streamsMax) return EDGE.tooManyStreams
  if (asksForLeader && !edge.node.hasLeader()) return refusalOf('no-leader')
  return undefined
}

type CallCounts = { started(): void; handled(code: number): void }

const CODE_NAMES = [
  ...['OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound'],
  ...['AlreadyExists', 'PermissionDenied', 'ResourceExhausted', 'FailedPrecondition', 'Aborted'],
  ...['OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated'],
] as const

function countCalls({ metrics }: Edge, method: Described): CallCounts {
  const [, service = '', name = ''] = method.path.split('/')
  const labels = {
    grpc_type: typeOf(method),
    grpc_service: service,
    grpc_method: name,
  }
  const byCode: (Counter | undefined)[] = []
  const started = metrics.registry.counter(
    'grpc_server_started_total',
    'Calls that were started.',
    labels,
  )
  return {
    started: () => started.add(),
    handled: (code) => {
      byCode[code] ??= metrics.registry.counter(
        'grpc_server_handled_total',
        'Calls that were answered, by status.',
        { ...labels, grpc_code: CODE_NAMES[code] ?? 'Unknown' },
      )
      byCode[code].add()
    },
  }
}

function typeOf({ requestStream, responseStream }: Described): string {
  if (requestStream && responseStream) return 'bidi_stream'
  return responseStream ? 'server_stream' : 'unary'
}

function define<Q, A, W>(
  { limits, metrics }: Edge,
  method: Method<Q, A>,
  encode: (answer: W) => Buffer,
): MethodDefinition<unknown, unknown> {
  const definition: MethodDefinition<Received<Q>, W> = {
    path: method.path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestDeserialize: (bytes) => {
      metrics.receivedBytes.add(bytes.length)
      const isTooLarge = bytes.length > limits.requestBytesMax
      return {
        bytes: bytes.length,
        message: isTooLarge ? undefined : method.requestDeserialize(bytes),
      }
    },
    responseSerialize: (answer) => {
      const bytes = encode(answer)
      metrics.sentBytes.add(bytes.length)
      return bytes
    },
    // Only a client would use these two.
    requestSerialize: unused,
    responseDeserialize: unused,
  }
  return definition as MethodDefinition<unknown, unknown>
}

function unused(): never {
  throw new TypeError('a server neither sends requests nor reads answers')
}
