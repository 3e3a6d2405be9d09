/**
 * A method of a service in the terms of grpc-js: how its messages are read and written, what answers
 * it, and how its calls are counted.
 */
import type { MethodDefinition, Server, UntypedHandleCall } from '@grpc/grpc-js'
import type { Edge } from './edge.ts'
import type { Counter } from '../../lib/metrics-registry.ts'

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

/** Counts the calls of one method. */
export type CallCounts = { started(): void; handled(code: number): void }

/** The names of the gRPC statuses, by number. */
const CODE_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const

/** Its counters: calls that were started, and those that were answered, by status. */
export function countCalls({ metrics }: Edge, method: Described): CallCounts {
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

/** How grpc-js reads requests and writes answers; one that is too large is not decoded. */
export function define<Q, A, W>(
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
