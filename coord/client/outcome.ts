/**
 * What a gRPC status tells about a request that was sent: whether a write can have landed, and whether
 * asking another endpoint makes sense. In doubt a write may have landed.
 */
import { STATUS } from '../../lib/grpc-status.ts'
import { CoordError } from './client.ts'

/** Statuses with which a server turns a request down before it does anything. */
const REFUSALS: ReadonlySet<number> = new Set([
  STATUS.invalidArgument,
  STATUS.notFound,
  STATUS.permissionDenied,
  STATUS.failedPrecondition,
  STATUS.outOfRange,
  STATUS.unimplemented,
  STATUS.unauthenticated,
])

/** Refusals that concern the asked member only. */
const MEMBER_REFUSALS: ReadonlySet<string> = new Set([
  'etcdserver: no leader',
  'etcdserver: not leader',
  'etcdserver: rpc not supported for learner',
])

/** True when another member may answer what this one refuses. */
export function isMemberRefusal(message: string): boolean {
  return MEMBER_REFUSALS.has(message)
}

/** The error of a request that was sent and got `status`. */
export function errorOf(status: number, message: string, cause?: unknown): CoordError {
  return new CoordError(status, message, isRefusal(status, message) ? 'failed' : 'unknown', {
    cause,
  })
}

function isRefusal(status: number, message: string): boolean {
  if (REFUSALS.has(status) || isMemberRefusal(message)) return true
  // The transport uses this status too, for a stream that it breaks in the middle.
  return status === STATUS.resourceExhausted && /^(etcdserver|grpc): /.test(message)
}

/** True when the same request may do better on another endpoint; for a write only if it also `failed`. */
export function mayHelpElsewhere(error: CoordError): boolean {
  return (
    isMemberRefusal(error.message) ||
    error.status === STATUS.unavailable ||
    error.status === STATUS.deadlineExceeded ||
    (error.status === STATUS.internal && error.message.startsWith('Received RST_STREAM'))
  )
}
