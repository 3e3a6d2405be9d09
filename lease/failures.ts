/** What coordinators answer, as errors that an operator understands. */
import { HakiriError } from '../lib/error.ts'
import { STATUS } from '../lib/grpc-status.ts'
import { CoordError } from '../coord/client/client.ts'

/** Statuses of a coordinator that is there and says no; asking again does not help. */
const REFUSALS: ReadonlySet<number> = new Set([
  STATUS.invalidArgument,
  STATUS.notFound,
  STATUS.failedPrecondition,
  STATUS.outOfRange,
  STATUS.unimplemented,
])
const DENIALS: ReadonlySet<number> = new Set([STATUS.permissionDenied, STATUS.unauthenticated])
const ABOUT_ONE_MEMBER = /no leader|not leader|not supported for learner/

/** A failed call as a HakiriError; anything that is no CoordError passes through. */
export function coordFailure(error: unknown, doing: string): unknown {
  if (!(error instanceof CoordError)) return error
  const { status, message } = error
  const text = `${doing}: ${message}`
  if (DENIALS.has(status))
    return new HakiriError('COORD_REFUSED', text, {
      cause: error,
      suggestion: 'Check the certificates with which the coordinators are reached.',
    })
  if (message.includes('database space exceeded'))
    return new HakiriError('COORD_REFUSED', text, {
      cause: error,
      suggestion: 'Raise the quota of the coordinators, or remove what else was stored in them.',
    })
  if (REFUSALS.has(status) && !ABOUT_ONE_MEMBER.test(message))
    return new HakiriError('COORD_REFUSED', text, {
      cause: error,
      suggestion: 'Check that the addresses are those of coordinators of this cluster.',
    })
  return new HakiriError('COORD_UNREACHABLE', text, {
    cause: error,
    suggestion: 'Check with `hakiri ctl status` that a majority of the coordinators runs.',
  })
}

/** What every use of a session meets once it is over. */
export function sessionLost(worker: string, cause: unknown): HakiriError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new HakiriError('SESSION_LOST', `worker ${worker} has no session any more${why}`, {
    cause,
    suggestion: 'Wait: the worker joins again by itself as soon as a coordinator answers.',
  })
}
