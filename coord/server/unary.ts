/**
 * Between grpc-js and the handlers of single requests: check → call → map error. A handler is a function
 * from a message to an answer, or to the promise of one; little else is created for a request.
 */
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js'
import { needsLeader } from './edge.ts'
import type { Edge } from './edge.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import { refusalFrom, refusalOf } from './errors.ts'
import type { Refusal } from './errors.ts'
import { countCalls, define } from './route.ts'
import type { Method, Received, Route } from './route.ts'

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
